import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { CallControls } from "../../emulator/firestore/controls.ts";
import type { Advice, Figures } from "../../functions/src/cli/advice";
import type { Finding } from "../../functions/src/cli/finding";
import type { ParamValues } from "../../functions/src/config/param-specs";
import { startRedis, type RedisServer } from "../../scripts/redis-server.mjs";
import {
  connect,
  startTarget,
  uniqueId,
  type FirestoreTarget,
} from "../emulator-firestore/firestore-target.ts";
import { runCommand } from "../harness/run-cli.ts";
import { startSecretManager } from "../harness/secret-manager-server.ts";
import { connectRedis, uniquePrefix } from "../harness/test-redis.ts";

const HEALTHY = ["--maxmemory", "64mb", "--maxmemory-policy", "noeviction"];

let target: FirestoreTarget;
let redis: RedisServer;
let folder: string;

beforeAll(async () => {
  target = await startTarget();
  redis = await startRedis({ args: HEALTHY });
  folder = mkdtempSync(path.join(tmpdir(), "cli-"));
});

afterAll(async () => {
  rmSync(folder, { recursive: true });
  await redis.stop();
  await target.stop();
});

/** The params of an installation of its own. */
function installation(more: ParamValues = {}): ParamValues {
  return {
    REDIS_HOST: "127.0.0.1",
    REDIS_PORT: String(redis.port),
    REDIS_TIMEOUT_MS: "2000",
    KEY_PREFIX: uniquePrefix(),
    QUOTA_COLLECTION_PATH: uniqueId(),
    VPC_CONNECTOR: "projects/p/locations/europe-west1/connectors/functions-connector",
    ...more,
  };
}

const run = (args: readonly string[], environment: ParamValues) =>
  runCommand(args, { environment, firestore: () => connect(target.address, target.project) });

const provider = (environment: ParamValues, id: string) =>
  target.db.collection(environment.QUOTA_COLLECTION_PATH!).doc(id);

async function diagnose(environment: ParamValues) {
  const { exitCode, output } = await run(["--json", "doctor"], environment);
  const findings = JSON.parse(output) as Finding[];
  return {
    exitCode,
    output,
    verdicts: Object.fromEntries(findings.map(({ check, verdict }) => [check, verdict])),
  };
}

describe("doctor", () => {
  test("fails on a bad policy, and checks the rest", async () => {
    const environment = installation({ RATE_LIMIT_POLICIES: '[{"name":"p","by":"uid","limits":[]}]' });
    const { exitCode, output, verdicts } = await diagnose(environment);
    expect(exitCode).toBe(1);
    expect(verdicts).toMatchObject({ params: "fail", "VPC connector": "pass", Redis: "pass" });
    expect(output).toContain("RATE_LIMIT_POLICIES[0].limits");
  });

  test("finds a kit in its network, with no connector", async () => {
    const { verdicts } = await diagnose(installation({ VPC_CONNECTOR: "", VPC_NETWORK: "default" }));
    expect(verdicts).toMatchObject({ params: "pass", "VPC network": "pass" });
  });

  test("warns of a kit with neither a connector nor a network", async () => {
    const { exitCode, verdicts } = await diagnose(installation({ VPC_CONNECTOR: "" }));
    expect(verdicts).toMatchObject({ params: "pass", "VPC connector": "warn" });
    expect(exitCode).toBe(0);
  });

  test("finds a healthy installation healthy, and shows it line by line", async () => {
    const environment = installation();
    await provider(environment, "ada").set({ aiCallsUsed: 1, aiCallsLimit: 10 });
    const { exitCode, verdicts } = await diagnose(environment);
    expect(verdicts).toEqual({
      params: "pass",
      "VPC connector": "pass",
      secrets: "pass",
      Redis: "pass",
      latency: "pass",
      version: "pass",
      topology: "pass",
      memory: "pass",
      "eviction policy": "pass",
      persistence: "pass",
      clients: "pass",
      refusals: "pass",
      "AUTH and TLS": "pass",
      installation: "pass",
      Lua: "pass",
      clock: "pass",
      Firestore: "pass",
      collection: "pass",
      fields: "pass",
      writing: "pass",
      fallback: "pass",
      rollback: "pass",
      "connector state": "by-hand",
      roles: "by-hand",
      monitoring: "by-hand",
      alerts: "by-hand",
    });
    expect(exitCode).toBe(0);
    const { output } = await run(["doctor"], environment);
    expect(output).toMatch(
      new RegExp(
        `PASS {2}Redis +answers at 127\\.0\\.0\\.1:${redis.port}, asked from 127\\.0\\.0\\.1:\\d+\n`,
      ),
    );
    expect(output).toMatch(/PASS {2}latency +p50 \d+\.\d\d ms, p99 \d+\.\d\d ms of 100 PINGs\n/);
    expect(output).toMatch(/22 passed, 0 warnings, 0 failed, 4 to check by hand\n$/);
  });

  test("says of a misconfigured one what to do about each fault", async () => {
    const loose = await startRedis({ args: ["--maxmemory-policy", "allkeys-lru"] });
    try {
      const environment = installation({
        REDIS_PORT: String(loose.port),
        MODE: "redis-primary",
        VPC_CONNECTOR: "projects/p/locations/us-central1/connectors/functions-connector",
      });
      await provider(environment, "ada").set({ aiCallsUsed: "many" });
      const { exitCode, verdicts } = await diagnose(environment);
      expect(verdicts).toMatchObject({
        "VPC connector": "fail",
        Redis: "pass",
        memory: "warn",
        "eviction policy": "fail",
        persistence: "warn",
        fields: "fail",
      });
      expect(exitCode).toBe(1);
      const { output } = await run(["doctor"], environment);
      expect(output).toContain(
        "-> Set maxmemory-policy to noeviction: this one can drop usage that Firestore lacks.",
      );
      expect(output).toContain("1 invalid, such as ada: Expected `aiCallsUsed` to be a whole number");
      expect(output).toContain(
        'Expected `VPC_CONNECTOR` to be a connector in LOCATION, "europe-west1"; got one in "us-central1".',
      );
    } finally {
      await loose.stop();
    }
  });

  test("tells a dead Redis from a dead Firestore: the fallback still works", async () => {
    const environment = installation({ REDIS_PORT: "1" });
    const { exitCode, verdicts, output } = await diagnose(environment);
    expect(verdicts).toMatchObject({
      Redis: "fail",
      Firestore: "pass",
      collection: "warn",
      fallback: "pass",
      rollback: "fail",
    });
    expect(output).toContain("ECONNREFUSED");
    expect(exitCode).toBe(1);
  });

  test("tells that Redis asks for a password", async () => {
    const guarded = await startRedis({ args: ["--requirepass", "hunter2"] });
    try {
      const { output } = await run(["doctor"], installation({ REDIS_PORT: String(guarded.port) }));
      expect(output).toMatch(
        /FAIL {2}Redis .+NOAUTH.+\n +-> Check the password that REDIS_AUTH_SECRET names/,
      );
    } finally {
      await guarded.stop();
    }
  });

  test("says what Redis has refused: much of it is a fault, a little is worth a look", async () => {
    const full = await startRedis({ args: ["--maxmemory", "1", "--maxmemory-policy", "noeviction"] });
    try {
      const client = connectRedis(full.port);
      for (let i = 0; i < 50; i++) await expect(client.set("k", "v")).rejects.toThrow("OOM");
      const environment = installation({ REDIS_PORT: String(full.port) });
      const { output, verdicts } = await diagnose(environment);
      expect(verdicts).toMatchObject({ refusals: "fail", memory: "warn" });
      expect(output).toContain("50 OOM of ");
      const pings = client.pipeline();
      for (let i = 0; i < 100_000; i++) pings.ping();
      await pings.exec();
      client.disconnect();
      expect((await diagnose(environment)).verdicts).toMatchObject({ refusals: "warn" });
    } finally {
      await full.stop();
    }
  });

  test("reads each secret that a param names, and tells which cannot be read", async () => {
    const secrets = await startSecretManager();
    const host = "projects/p/secrets/REDIS_HOST";
    try {
      secrets.add(host, "127.0.0.1");
      const diagnoseWith = async (more: ParamValues) => {
        const { output } = await runCommand(["--json", "doctor"], {
          environment: installation({ REDIS_HOST: host, ...more }),
          firestore: () => connect(target.address, target.project),
          secretManagerHost: secrets.host,
        });
        const findings = JSON.parse(output) as Finding[];
        return findings.filter(({ check }) => check === "secrets" || check === "Redis");
      };
      expect(await diagnoseWith({})).toMatchObject([
        { check: "secrets", verdict: "pass", found: "REDIS_HOST can be read" },
        { check: "Redis", verdict: "pass" },
      ]);
      const missing = "projects/p/secrets/redis-auth";
      expect(await diagnoseWith({ REDIS_AUTH_SECRET: missing })).toMatchObject([
        { check: "secrets", verdict: "pass" },
        {
          check: "secrets",
          verdict: "fail",
          found: expect.stringContaining(`${missing}/versions/latest`) as string,
        },
        { check: "Redis", verdict: "fail" },
      ]);
    } finally {
      await secrets.stop();
    }
  });

  test("shows no password that was written into an address", async () => {
    const { exitCode, output, errors } = await run(
      ["doctor"],
      installation({ REDIS_HOST: "redis://user:hunter2@10.0.0.3" }),
    );
    expect(exitCode).toBe(1);
    expect(output).toContain("Expected `REDIS_HOST` to be");
    expect(output + errors).not.toContain("hunter2");
  });

  test("reads an extension's params file, over the environment", async () => {
    const file = path.join(folder, "quota.env");
    writeFileSync(
      file,
      `REDIS_PORT=${redis.port}\nfirebaseextensions.v1beta.function/location=x\nOTHER=hunter3\n`,
    );
    const { output } = await run(["--json", "doctor", "--env-file", file], installation({ REDIS_PORT: "1" }));
    expect(output).toContain(`answers at 127.0.0.1:${redis.port}`);
    expect(output).not.toContain("hunter3");
  });
});

test("inspect shows both stores of a provider, and sync brings one to the other", async () => {
  const environment = installation({
    MODE: "redis-primary",
    RATE_LIMIT_POLICIES:
      '[{"name":"chat","by":"uid","limits":[{"algorithm":"fixed-window","limit":1,"window":"1 d"}]}]',
  });
  await provider(environment, "ada").set({ aiCallsUsed: 1, aiCallsLimit: 10 });
  expect((await run(["backfill"], environment)).output).toBe(
    "1 documents are in Redis, 0 hold no valid quota.\n",
  );
  const { createServices } = jest.requireActual<typeof import("../../functions/src/services")>(
    "../../functions/src/services",
  );
  const { parseServiceConfig } = jest.requireActual<typeof import("../../functions/src/config/config")>(
    "../../functions/src/config/config",
  );
  const { createLogs } = jest.requireActual<typeof import("../../functions/src/observability/logs")>(
    "../../functions/src/observability/logs",
  );
  const services = createServices(
    parseServiceConfig(environment),
    () => target.db,
    createLogs(() => {}),
  );
  await services.quotaService.consume("ada", { cost: 3 });
  services.close();

  const before = await run(["--json", "inspect", "ada"], environment);
  expect(JSON.parse(before.output)).toMatchObject({
    providerId: "ada",
    redis: { used: 1, limit: 10, pending: 3, inFlight: 0 },
    firestore: { quota: { used: 1, limit: 10 } },
  });
  expect((await run(["inspect", "ada"], environment)).output).toMatch(/pending +3\n[^]+expires in +never/);

  const synced = await run(["--json", "sync"], environment);
  expect(JSON.parse(synced.output)).toMatchObject({ flushed: 1, failed: 0, pendingProviders: 0 });
  expect((await provider(environment, "ada").get()).get("aiCallsUsed")).toBe(4);
  expect((await run(["rollback"], environment)).output).toContain(
    "Redis holds no usage that Firestore lacks.",
  );
  expect((await run(["reconcile"], environment)).output).toBe(
    "1 entries compared, 0 of them had missed a change.\n",
  );
  const allowed = await run(["policies", "try", "chat", "ada", "--count"], environment);
  expect(allowed).toMatchObject({ exitCode: 0, output: expect.stringMatching(/allowed +true/) as string });
  expect((await run(["policies", "try", "chat", "ada"], environment)).exitCode).toBe(1);
});

describe("advise --sample", () => {
  test("counts the documents and times reads of them, in place of what was not told", async () => {
    const environment = installation();
    await Promise.all(
      ["ada", "bob", "eve"].map((id) => provider(environment, id).set({ aiCallsUsed: 1, aiCallsLimit: 10 })),
    );
    const adviseBy = async (...args: string[]) => {
      const { exitCode, output } = await run(["--json", "advise", "--sample", ...args], environment);
      expect(exitCode).toBe(0);
      return JSON.parse(output) as Advice & { readonly figures: Figures };
    };
    const sampled = await adviseBy();
    expect(sampled.figures).toMatchObject({ providers: 3, p95Ms: expect.any(Number) as number });
    const [providers, reads, p95] = sampled.indicators;
    expect(providers).toMatchObject({ value: 3, reached: false });
    expect(reads).not.toHaveProperty("value");
    const { p95Ms } = sampled.figures;
    expect(p95).toMatchObject({ value: p95Ms, reached: p95Ms! > 200 });
    expect(sampled.instance).toEqual({ tier: "basic", sizeGb: 1, perMonth: 35 });
    const { figures } = await adviseBy("--providers", "800", "--p95-ms", "201");
    expect(figures).toMatchObject({ providers: 800, p95Ms: 201 });
  });

  test("the P95 is that of Firestore's reads", async () => {
    const environment = installation();
    await provider(environment, "ada").set({ aiCallsUsed: 1, aiCallsLimit: 10 });
    const calls = new CallControls(target.address);
    await calls.set({ methods: ["RunQuery"], delayMs: 210 });
    try {
      const { output } = await run(["advise", "--sample"], environment);
      expect(output).toMatch(/check P95 \(ms\) +\d+ +200 +reached \(critical\)/);
    } finally {
      await calls.clear();
    }
  });
});

test("a dead Redis is an error in one line, and exit code 1; bad usage is 2; help is 0", async () => {
  const dead = await run(["sync"], installation({ REDIS_PORT: "1" }));
  expect(dead).toMatchObject({ exitCode: 1, output: "" });
  expect(dead.errors).toMatch(/Redis at 127\.0\.0\.1:1 .+ gave no answer/);
  expect((await run(["sync", "--unknown"], installation())).exitCode).toBe(2);
  expect((await run(["sync"], {})).exitCode).toBe(2);
  expect((await run(["inspect", "a/b"], installation())).exitCode).toBe(2);
  for (const args of [
    ["sync", "--seconds", "soon"],
    ["reconcile", "--count", "-1"],
    ["migrate", "--compare", "0"],
  ]) {
    const { exitCode, errors } = await run(args, installation());
    expect([exitCode, errors]).toEqual([
      2,
      `Expected \`${args[1]}\` to be a whole number, 1 or more; got "${args[2]}".\n`,
    ]);
  }
  const help = await run(["doctor", "--help"], {});
  expect(help.exitCode).toBe(0);
  expect(help.output).toContain("npx firestore-redis-quota doctor --env-file");
});
