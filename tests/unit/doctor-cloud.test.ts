import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";

import type { Finding } from "../../functions/src/cli/finding";
import { ALERTS, METRICS } from "../../functions/src/cli/monitoring-names";
import { runCommand } from "../harness/run-cli.ts";

const CONNECTOR = "projects/shop/locations/europe-west1/connectors/functions-connector";
const ACCOUNT = "ext-quota@shop.iam.gserviceaccount.com";

/** What a project that is set up answers, as Google's REST references have it, by API and path. */
const HEALTHY: Readonly<Record<string, unknown>> = {
  [`vpcaccess/v1/${CONNECTOR}`]: { name: CONNECTOR, network: "default", state: "READY" },
  "redis/v1/projects/shop/locations/europe-west1/instances": {
    instances: [
      {
        name: "projects/shop/locations/europe-west1/instances/quota-cache",
        host: "10.0.0.3",
        port: 6379,
        state: "READY",
        tier: "BASIC",
        memorySizeGb: 1,
        authorizedNetwork: "projects/shop/global/networks/default",
      },
    ],
  },
  "cloudresourcemanager/v1/projects/shop:getIamPolicy": {
    bindings: [
      { role: "roles/datastore.user", members: [`serviceAccount:${ACCOUNT}`, "user:someone@example.com"] },
      { role: "roles/cloudtasks.enqueuer", members: [`serviceAccount:${ACCOUNT}`] },
    ],
  },
  "logging/v2/projects/shop/metrics?pageSize=1000": { metrics: METRICS.map((name) => ({ name })) },
  "monitoring/v3/projects/shop/alertPolicies?pageSize=1000": {
    alertPolicies: ALERTS.map((displayName) => ({ displayName, enabled: true, notificationChannels: ["c"] })),
  },
};

let server: Server;
let answers: Record<string, unknown>;

beforeAll(async () => {
  server = createServer((request, response) => {
    const answer = answers[request.url!.slice(1)];
    if (request.headers.authorization !== "Bearer token" || answer === undefined) {
      response.writeHead(403).end(JSON.stringify({ error: { code: 403, message: "Permission denied." } }));
      return;
    }
    response.end(JSON.stringify(answer));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
});

afterAll(() => new Promise((resolve) => server.close(resolve)));

/** The findings about Google Cloud; of the stores nothing is set, so that they are not asked. */
async function diagnose(different: Record<string, unknown> = {}, params: object = {}, token = "token") {
  answers = { ...HEALTHY, ...different };
  const { port } = server.address() as AddressInfo;
  const args = ["--json", "doctor", "--cloud", "--service-account", ACCOUNT];
  const { output } = await runCommand(args, {
    environment: { VPC_CONNECTOR: CONNECTOR, REDIS_HOST: "10.0.0.3", MODE: "nonsense", ...params },
    cloud: { accessToken: async () => token, addressOf: (api) => `http://127.0.0.1:${port}/${api}` },
  });
  const findings = JSON.parse(output) as Finding[];
  return new Map(findings.map((each) => [each.check, each]));
}

const verdicts = (findings: Map<string, Finding>) =>
  Object.fromEntries(
    [...findings].filter(([check]) => check !== "params").map(([check, { verdict }]) => [check, verdict]),
  );

test("finds a project that is set up as it is to be", async () => {
  const findings = await diagnose();
  expect(verdicts(findings)).toEqual({
    "connector state": "pass",
    Memorystore: "pass",
    roles: "pass",
    monitoring: "pass",
    alerts: "pass",
  });
  expect(findings.get("Memorystore")!.found).toBe("quota-cache: READY, BASIC, 1 GB");
});

test.each([
  ["connector state", { [`vpcaccess/v1/${CONNECTOR}`]: { state: "ERROR", network: "default" } }, {}, "fail"],
  ["Memorystore", { [`vpcaccess/v1/${CONNECTOR}`]: { state: "READY", network: "other" } }, {}, "fail"],
  ["Memorystore", {}, { REDIS_HOST: "10.9.9.9" }, "warn"],
  ["Memorystore", {}, { VPC_NETWORK: "projects/shop/global/networks/other" }, "fail"],
  ["Memorystore", {}, { REDIS_HOST: "projects/shop/secrets/REDIS_HOST" }, "by-hand"],
  ["Memorystore", {}, { REDIS_TOPOLOGY: "cluster" }, "by-hand"],
  ["Memorystore", { "redis/v1/projects/shop/locations/europe-west1/instances": {} }, {}, "warn"],
  ["roles", { "cloudresourcemanager/v1/projects/shop:getIamPolicy": { bindings: [] } }, {}, "fail"],
  ["roles", {}, { REDIS_AUTH_SECRET: "projects/shop/secrets/redis-auth" }, "fail"],
  ["monitoring", { "logging/v2/projects/shop/metrics?pageSize=1000": {} }, {}, "warn"],
  ["alerts", { "monitoring/v3/projects/shop/alertPolicies?pageSize=1000": {} }, {}, "warn"],
  [
    "alerts",
    {
      "monitoring/v3/projects/shop/alertPolicies?pageSize=1000": {
        alertPolicies: ALERTS.map((displayName) => ({ displayName, enabled: false })),
      },
    },
    {},
    "warn",
  ],
])("finds fault with %s", async (check, different, params, verdict) => {
  expect((await diagnose(different, params)).get(check)!.verdict).toBe(verdict);
});

test("alerts that tell nobody are worth a warning", async () => {
  const alertPolicies = ALERTS.map((displayName) => ({ displayName }));
  const findings = await diagnose({
    "monitoring/v3/projects/shop/alertPolicies?pageSize=1000": { alertPolicies },
  });
  expect(findings.get("alerts")).toMatchObject({
    verdict: "warn",
    found: `${ALERTS.length} alert policies tell nobody`,
  });
});

test("what may not be asked is left to a person, with what Google says", async () => {
  const findings = await diagnose({}, {}, "another token");
  expect(new Set(Object.values(verdicts(findings)))).toEqual(new Set(["by-hand"]));
  expect(findings.get("alerts")!.found).toBe("monitoring.googleapis.com: Permission denied.");
});

test("without a project there is nothing to ask", async () => {
  const { exitCode, output } = await runCommand(["doctor", "--cloud"], {
    cloud: { accessToken: async () => "token" },
  });
  expect(exitCode).toBe(1);
  expect(output).toContain("Name it: --project PROJECT.");
});
