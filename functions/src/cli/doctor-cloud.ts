import { PARAM_SPECS, type ParamValues } from "../config/param-specs";
import { byHand, fail, pass, warn, type Finding } from "./finding";
import { askCloud, type CloudAccess } from "./google-cloud";
import { ALERTS, METRICS } from "./monitoring-names";

/** Roles without which the functions of either form do not work; the kit's account gets further ones from the CLI. */
const ROLES = ["roles/datastore.user", "roles/cloudtasks.enqueuer"];
const SECRETS_ROLE = "roles/secretmanager.secretAccessor";

const SECRET_PARAMS = ["REDIS_HOST", "REDIS_PORT", "REDIS_AUTH_SECRET", "REDIS_CA_SECRET"] as const;

const SET_UP = "monitoring/apply.sh PROJECT CHANNEL makes them: docs/operations.md.";

/** What the checks of Google Cloud are about. */
export interface CloudSubject {
  readonly params: ParamValues;
  readonly project: string | undefined;
  /** E-mail address of the account that the functions run as. */
  readonly serviceAccount: string | undefined;
}

interface Connector {
  readonly state?: string;
  readonly network?: string;
}

interface Instance {
  readonly name: string;
  readonly host?: string;
  readonly state?: string;
  readonly tier?: string;
  readonly memorySizeGb?: number;
  readonly authorizedNetwork?: string;
}

/** What only Google Cloud knows, and how a person looks it up. */
export function cloudByHand({ params, project = "PROJECT" }: CloudSubject): Finding[] {
  const { VPC_CONNECTOR: connector = "" } = params;
  const described = connector
    ? [
        byHand(
          "connector state",
          "not asked (--cloud asks)",
          `gcloud compute networks vpc-access connectors describe ${connector} --format="value(state,network)" has to say READY.`,
        ),
      ]
    : [];
  return [
    ...described,
    byHand(
      "roles",
      "not asked (--cloud --service-account asks)",
      `gcloud projects get-iam-policy ${project} has to give the functions' account ${rolesFor(params).join(", ")}.`,
    ),
    byHand(
      "monitoring",
      "not asked (--cloud asks)",
      `gcloud logging metrics list --project=${project} --filter="name:frq_" has to list ${METRICS.length}. ${SET_UP}`,
    ),
    byHand(
      "alerts",
      "not asked (--cloud asks)",
      `gcloud monitoring policies list --project=${project} has to list ${ALERTS.length} that begin with "Redis quotas". ${SET_UP}`,
    ),
  ];
}

/** Asks Google Cloud for the connector, the instance of Memorystore, roles, log-based metrics and alert policies. */
export async function checkCloud(access: CloudAccess, subject: CloudSubject): Promise<Finding[]> {
  const { params, project } = subject;
  if (project === undefined)
    return [fail("Google Cloud", "the project is not known", "Name it: --project PROJECT.")];
  const { VPC_CONNECTOR: connector, VPC_NETWORK } = params;
  const network =
    connector && !VPC_NETWORK
      ? await checkConnector(access, connector)
      : { findings: [], network: VPC_NETWORK?.split("/").at(-1) };
  return [
    ...network.findings,
    await orUnknown("Memorystore", () => checkInstance(access, subject, project, network.network)),
    await orUnknown("roles", () => checkRoles(access, subject, project)),
    await orUnknown("monitoring", () => checkMetrics(access, project)),
    await orUnknown("alerts", () => checkAlerts(access, project)),
  ];
}

/** What may not be asked, or gave no answer, is left to a person who may. */
async function orUnknown(check: string, ask: () => Promise<Finding>): Promise<Finding> {
  try {
    return await ask();
  } catch (error) {
    return byHand(
      check,
      (error as Error).message,
      "Run this as somebody who may ask, or look it up in the console.",
    );
  }
}

async function checkConnector(
  access: CloudAccess,
  name: string,
): Promise<{ readonly findings: Finding[]; readonly network?: string | undefined }> {
  let network: string | undefined;
  const finding = await orUnknown("connector state", async () => {
    const connector = await askCloud<Connector>(access, "vpcaccess", `v1/${name}`);
    network = connector.network;
    return connector.state === "READY"
      ? pass("connector state", `READY, in the network ${network}`)
      : fail("connector state", connector.state ?? "unknown", "Wait until it is READY, or make another one.");
  });
  return { findings: [finding], network };
}

async function checkInstance(
  access: CloudAccess,
  { params }: CloudSubject,
  project: string,
  network: string | undefined,
): Promise<Finding> {
  const { LOCATION: region = PARAM_SPECS.LOCATION.default, REDIS_HOST: host, REDIS_TOPOLOGY } = params;
  if (host?.startsWith("projects/") || REDIS_TOPOLOGY === "cluster")
    return byHand(
      "Memorystore",
      host?.startsWith("projects/") ? "its address is a secret" : "a cluster",
      `Look it up: gcloud redis ${REDIS_TOPOLOGY === "cluster" ? "clusters" : "instances"} list --region=${region} --project=${project}`,
    );
  const path = `v1/projects/${project}/locations/${region}/instances`;
  const { instances = [] } = await askCloud<{ instances?: Instance[] }>(access, "redis", path);
  const instance = instances.find((each) => each.host === host);
  if (!instance)
    return warn(
      "Memorystore",
      `none of the ${instances.length} instances in ${region} has the address ${host}`,
      "If Redis is no server of your own, correct REDIS_HOST or LOCATION.",
    );
  const { state, tier, memorySizeGb, authorizedNetwork = "" } = instance;
  const found = `${instance.name.split("/").at(-1)}: ${state}, ${tier}, ${memorySizeGb} GB`;
  if (state !== "READY") return fail("Memorystore", found, "Wait until it is READY.");
  if (network !== undefined && authorizedNetwork.split("/").at(-1) !== network)
    return fail(
      "Memorystore",
      `${found}, in the network ${authorizedNetwork}`,
      `Its network has to be that of the functions, ${network}.`,
    );
  return pass("Memorystore", found);
}

async function checkRoles(
  access: CloudAccess,
  { params, serviceAccount }: CloudSubject,
  project: string,
): Promise<Finding> {
  if (serviceAccount === undefined)
    return byHand("roles", "whose is not known", "Name the functions' account: --service-account EMAIL.");
  const { bindings = [] } = await askCloud<{
    bindings?: { readonly role: string; readonly members?: readonly string[] }[];
  }>(access, "cloudresourcemanager", `v1/projects/${project}:getIamPolicy`, {});
  const member = `serviceAccount:${serviceAccount}`;
  const granted = bindings.filter(({ members = [] }) => members.includes(member)).map(({ role }) => role);
  const missing = rolesFor(params).filter((role) => !granted.includes(role));
  return missing.length === 0
    ? pass("roles", `${serviceAccount} has ${granted.join(", ")}`)
    : fail(
        "roles",
        `${serviceAccount} lacks ${missing.join(", ")} on the project`,
        "Grant them, unless a broader role has them, or the secrets' own policies.",
      );
}

async function checkMetrics(access: CloudAccess, project: string): Promise<Finding> {
  const { metrics = [] } = await askCloud<{ metrics?: { readonly name: string }[] }>(
    access,
    "logging",
    `v2/projects/${project}/metrics?pageSize=1000`,
  );
  return existing(
    "monitoring",
    "log-based metrics",
    METRICS,
    metrics.map(({ name }) => name),
  );
}

async function checkAlerts(access: CloudAccess, project: string): Promise<Finding> {
  const { alertPolicies = [] } = await askCloud<{
    alertPolicies?: {
      readonly displayName: string;
      readonly enabled?: boolean;
      readonly notificationChannels?: readonly string[];
    }[];
  }>(access, "monitoring", `v3/projects/${project}/alertPolicies?pageSize=1000`);
  const found = alertPolicies.filter(
    ({ displayName, enabled }) => ALERTS.includes(displayName) && enabled !== false,
  );
  const finding = existing(
    "alerts",
    "alert policies",
    ALERTS,
    found.map(({ displayName }) => displayName),
  );
  const silent = found.filter(({ notificationChannels = [] }) => notificationChannels.length === 0).length;
  if (finding.verdict !== "pass" || silent === 0) return finding;
  return warn("alerts", `${silent} alert policies tell nobody`, "Add a notification channel to them.");
}

function existing(check: string, what: string, wanted: readonly string[], found: readonly string[]): Finding {
  const missing = wanted.filter((name) => !found.includes(name));
  if (missing.length === 0) return pass(check, `all ${wanted.length} ${what} are there`);
  const examples = missing.slice(0, 2).join("; ");
  return warn(
    check,
    `${missing.length} of ${wanted.length} ${what} are missing, such as ${examples}`,
    SET_UP,
  );
}

function rolesFor(params: ParamValues): string[] {
  const namesSecret = SECRET_PARAMS.some((name) => params[name]?.startsWith("projects/"));
  return namesSecret ? [...ROLES, SECRETS_ROLE] : ROLES;
}
