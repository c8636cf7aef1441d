import { PARAM_SPECS, type ParamValues } from "../config/param-specs";

/** What gets from one phase into another: commands, then params that are set, then further commands. */
export interface Step {
  readonly first: readonly string[];
  readonly params: Readonly<Partial<Record<"MODE" | "BACKFILL_ON_INSTALL", string>>>;
  readonly then: readonly string[];
}

/** One of the migration guide's four phases. */
export interface Phase {
  readonly number: 1 | 2 | 3 | 4;
  readonly name: string;
  /** What to do while in it. */
  readonly todo: readonly string[];
  /** How it goes on once all checks have passed; undefined from Redis primary on, where nothing is to be deployed. */
  readonly next: Step | undefined;
  /** The way back; undefined where there is nothing to go back from. */
  readonly back: Step | undefined;
}

/** What the commands that are printed need to name. */
export interface Installation {
  readonly params: ParamValues;
  readonly project: string | undefined;
  readonly envFile: string | undefined;
}

export const PHASE_NAMES: readonly string[] = ["Setup", "Dual-write", "Redis primary", "Cleanup"];

/** The phases of an installation, with its names in the commands. */
export function phasesOf({ params, project = "PROJECT", envFile }: Installation): readonly Phase[] {
  const run = (command: string) =>
    `npx firestore-redis-quota ${command}${envFile === undefined ? "" : ` --env-file ${envFile}`} --project ${project}`;
  const deploy = `firebase deploy --only extensions --project ${project}   # the kit: --only functions`;
  const schedule = params.SYNC_SCHEDULE || PARAM_SPECS.SYNC_SCHEDULE.default;
  const forward = (params: Step["params"], ...more: string[]): Step => ({
    first: [],
    params,
    then: [deploy, ...more],
  });
  const back = (to: "firestore" | "dual-write"): Step => {
    const rollback = run(`rollback --to ${to}`);
    return { first: [rollback], params: { MODE: to }, then: [deploy, rollback] };
  };
  return [
    {
      number: 1,
      name: PHASE_NAMES[0]!,
      todo: [
        "Make the Redis instance, and write its address into REDIS_HOST:",
        ...instanceCommands(params, project),
        ...connectorCommands(params, project),
        `Install the extension or the kit with MODE=firestore: ${deploy}`,
        `Set up monitoring and alerts: monitoring/apply.sh (docs/operations.md); then ${run("doctor --cloud")}`,
      ],
      next: forward({ MODE: "dual-write", BACKFILL_ON_INSTALL: "true" }, run("migrate")),
      back: undefined,
    },
    {
      number: 2,
      name: PHASE_NAMES[1]!,
      todo: [
        "Every call is counted in Firestore and told to Redis; checks are answered by Redis.",
        `If the deployment did not read all documents into Redis, do so: ${run("backfill")}`,
        "Stay for a week (the guide), and watch the dashboard: fallbacks, mirror lag, redis_unreachable.",
      ],
      next: forward({ MODE: "redis-primary" }, run("migrate")),
      back: back("firestore"),
    },
    {
      number: 3,
      name: PHASE_NAMES[2]!,
      todo: [
        `Redis counts every call, and syncQuotas brings usage to Firestore: ${schedule} (SYNC_SCHEDULE; the guide: every 24 hours). A total loss of Redis costs so much usage.`,
        "Stay for a week (the guide), and watch the dashboard: the age of usage that Firestore lacks.",
      ],
      next: undefined,
      back: back("dual-write"),
    },
    {
      number: 4,
      name: PHASE_NAMES[3]!,
      todo: [
        "Take the quota cache in memory out of your own functions (quotaCache in the guide): the SDK does not need it.",
        "Move your rate limits into RATE_LIMIT_POLICIES, and call checkRateLimit or the SDK's withRateLimit.",
        "Fit QUOTA_TTL_SECONDS to the hit rate below.",
      ],
      next: undefined,
      back: back("dual-write"),
    },
  ];
}

function instanceCommands(
  { LOCATION: region = PARAM_SPECS.LOCATION.default, REDIS_TOPOLOGY }: ParamValues,
  project: string,
): string[] {
  if (REDIS_TOPOLOGY === "cluster")
    return ["  (a Redis Cluster with the eviction policy noeviction: docs/cluster.md)"];
  return [
    `  gcloud redis instances create quota-cache --size=1 --tier=basic --redis-version=redis_7_0 --network=default --redis-config=maxmemory-policy=noeviction --region=${region} --project=${project}`,
    `  gcloud redis instances describe quota-cache --format="get(host)" --region=${region} --project=${project}`,
  ];
}

function connectorCommands(
  { LOCATION = PARAM_SPECS.LOCATION.default, VPC_CONNECTOR, ...params }: ParamValues,
  project: string,
) {
  if (params.VPC_NETWORK || params.VPC_SUBNETWORK) return [];
  const name = VPC_CONNECTOR?.split("/").at(-1) || "functions-connector";
  return [
    "Make the connector, and write its name into VPC_CONNECTOR:",
    `  gcloud compute networks vpc-access connectors create ${name} --network=default --range=10.8.0.0/28 --region=${LOCATION} --project=${project}`,
  ];
}
