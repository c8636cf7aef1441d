import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import path from "node:path";

import { parse } from "yaml";

import { parseConfig } from "../../functions/src/config/config";
import {
  EXTENSION_PARAM_SPECS,
  KIT_ONLY_PARAM_SPECS,
  PARAM_SPECS,
  type ParamSpec,
} from "../../functions/src/config/param-specs";

const ROOT = path.resolve(__dirname, "../..");

const { params: form } = parse(readFileSync(path.join(ROOT, "extension.yaml"), "utf8")) as {
  params: { param: string; description: string }[];
};

interface Endpoint {
  vpc: {
    connector?: string;
    egressSettings: string;
    networkInterfaces?: { network?: string; subnetwork?: string }[];
  };
  region: string[] | string;
  availableMemoryMb: number;
  timeoutSeconds: number;
  concurrency: number;
  eventTrigger?: { eventFilters: Record<string, string> };
}

interface Build {
  endpoints: Record<string, Endpoint>;
  params: { name: string; label?: string; description?: string; default?: string }[];
  requiredAPIs: { api: string }[];
  requiredRoles: string[];
  lifecycleHooks: Record<string, unknown>;
}

/** What the CLI reads of the compiled kit, by its own code, while the environment has these values. */
function discover(env: Record<string, string>): Build {
  // The file that the CLI starts in a kit's folder to have the functions listed.
  const program = `
    const { loadStack } = require("./node_modules/firebase-functions/lib/runtime/loader.js");
    const { stackToWire } = require("./node_modules/firebase-functions/lib/runtime/manifest.js");
    const write = console.log;
    loadStack("./functions").then((stack) => write(JSON.stringify(stackToWire(stack))));`;
  const output = execFileSync(process.execPath, ["-e", program], {
    cwd: ROOT,
    env: { ...env, GCLOUD_PROJECT: "demo-p" },
    timeout: 20_000,
    stdio: ["ignore", "pipe", "ignore"],
  });
  const { buildFromV1Alpha1 } = jest.requireActual<{
    buildFromV1Alpha1(yaml: unknown, project: string, region: string, runtime: string): Build;
  }>("firebase-tools/lib/deploy/functions/runtimes/discovery/v1alpha1");
  const lines = output.toString().trim().split("\n");
  return buildFromV1Alpha1(JSON.parse(lines.at(-1)!), "demo-p", "europe-west1", "nodejs22");
}

const vpcs = ({ endpoints }: Build) => Object.values(endpoints).map(({ vpc }) => vpc);

/** The kit while the environment has no values. */
let unconfigured: Build;

beforeAll(() => {
  unconfigured = discover({});
}, 20_000);

test("with the CLI's defaults and an address of Redis, the functions' settings are valid", () => {
  const { params } = unconfigured;
  const defaults = Object.fromEntries(params.map(({ name, default: value = "" }) => [name, value]));
  expect(parseConfig({ ...defaults, REDIS_HOST: "redis.example.com" })).toMatchObject({
    location: "europe-west1",
  });
});

test("without any value, all functions are behind the connector that is asked for", () => {
  const expected = { connector: "{{ params.VPC_CONNECTOR }}", egressSettings: "PRIVATE_RANGES_ONLY" };
  expect(vpcs(unconfigured)).toEqual(Array(8).fill(expected));
});

test.each([
  [{ VPC_NETWORK: "n" }, { network: "n" }],
  [{ VPC_SUBNETWORK: "s" }, { subnetwork: "s" }],
  [
    { VPC_NETWORK: "n", VPC_SUBNETWORK: "s" },
    { network: "n", subnetwork: "s" },
  ],
  [
    { VPC_NETWORK: "n", VPC_SUBNETWORK: "", VPC_CONNECTOR: "projects/p/locations/l/connectors/c" },
    { network: "n" },
  ],
])("with %j, all functions are in the network", (env, networkInterface) => {
  const expected = { networkInterfaces: [networkInterface], egressSettings: "ALL_TRAFFIC" };
  const found = vpcs(discover({ ...env, VPC_CONNECTOR_EGRESS_SETTINGS: "ALL_TRAFFIC" }));
  expect(found).toEqual(Array(8).fill(expected));
});

test("each function says how much an instance has, how long it may run, and how many calls it takes at a time", () => {
  const { endpoints } = unconfigured;
  const sizes = Object.entries(endpoints).map(([name, each]) => [
    name,
    each.availableMemoryMb,
    each.timeoutSeconds,
    each.concurrency,
  ]);
  expect(sizes.sort()).toEqual(
    [
      ["mirrorQuota", 256, 60, 80],
      ["mirrorSession", 256, 60, 80],
      ["checkQuota", 256, 30, 80],
      ["consumeQuota", 256, 30, 80],
      ["syncQuotas", 256, 540, 1],
      ["backfillQuotas", 256, 540, 1],
      ["checkRateLimit", 256, 30, 80],
      ["getStatus", 256, 30, 80],
    ].sort(),
  );
});

test("the mirrors are triggered by the database that is asked for", () => {
  const { endpoints } = unconfigured;
  const databases = Object.values(endpoints).flatMap(
    ({ eventTrigger }) => eventTrigger?.eventFilters["database"] ?? [],
  );
  expect(databases).toEqual(["{{ params.DATABASE }}", "{{ params.DATABASE }}"]);
});

test("the CLI asks for every param by its label, the extension's first, with the form's description", () => {
  const { params } = unconfigured;
  expect(params.map(({ name }) => name)).toEqual([
    ...Object.keys(EXTENSION_PARAM_SPECS),
    ...Object.keys(KIT_ONLY_PARAM_SPECS),
  ]);
  for (const { name, label, description } of params) {
    const spec: ParamSpec = PARAM_SPECS[name as keyof typeof PARAM_SPECS];
    const inForm = form.find(({ param }) => param === name)?.description.trim();
    expect({ label, description }).toEqual({ label: spec.label, description: spec.description ?? inForm });
  }
});

describe("the kit's requirements are found:", () => {
  test("the APIs of its secrets and of its connector, and those that its functions bring with them", () => {
    const apis = unconfigured.requiredAPIs.map(({ api }) => api);
    expect(apis.sort()).toEqual([
      "cloudscheduler.googleapis.com",
      "cloudtasks.googleapis.com",
      "secretmanager.googleapis.com",
      "vpcaccess.googleapis.com",
    ]);
  });

  test("the roles that docs/security.md lists for the kit, and no others", () => {
    const rows = readFileSync(path.join(ROOT, "docs/security.md"), "utf8").matchAll(
      /^\| `(roles\/\S+)` +\| \w+ +\| yes +\|/gm,
    );
    const documented = Array.from(rows, ([, role]) => role);
    expect(documented).toContain("roles/datastore.user");
    expect(unconfigured.requiredRoles.toSorted()).toEqual(documented.sort());
  });

  test("the hooks that start a backfill after the first deployment and after each later one", () => {
    // Data that is no progress of a backfill: a first part.
    const firstPart = { task: { function: "backfillQuotas", body: { data: {} } } };
    expect(unconfigured.lifecycleHooks).toEqual({ afterFirstDeploy: firstPart, afterRedeploy: firstPart });
  });
});
