import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { parseEnv } from "node:util";

import type { Finding } from "../../functions/src/cli/finding";
import { intervalOf } from "../../functions/src/cli/phase-checks";
import { parseServiceConfig } from "../../functions/src/config/config";
import type { ParamValues } from "../../functions/src/config/param-specs";
import { Counters } from "../../functions/src/observability/counters";
import { createLogs } from "../../functions/src/observability/logs";
import { Keys } from "../../functions/src/redis/keys";
import { createServices } from "../../functions/src/services";
import { startRedis, type RedisServer } from "../../scripts/redis-server.mjs";
import {
  connect,
  startTarget,
  uniqueId,
  type FirestoreTarget,
} from "../emulator-firestore/firestore-target.ts";
import { runCommand } from "../harness/run-cli.ts";
import { connectRedis, uniquePrefix } from "../harness/test-redis.ts";
import { waitFor } from "../harness/wait-for.ts";

let target: FirestoreTarget;
let redis: RedisServer;
let folder: string;

beforeAll(async () => {
  target = await startTarget();
  redis = await startRedis({ args: ["--maxmemory", "64mb", "--maxmemory-policy", "noeviction"] });
  folder = mkdtempSync(path.join(tmpdir(), "migrate-"));
});

afterAll(async () => {
  rmSync(folder, { recursive: true });
  await redis.stop();
  await target.stop();
});

/** An installation as its params file has it, with three providers. */
async function installed(more: ParamValues = {}) {
  const file = path.join(folder, `${uniquePrefix()}.env`);
  const params = {
    REDIS_HOST: "127.0.0.1",
    REDIS_PORT: String(redis.port),
    REDIS_TIMEOUT_MS: "2000",
    KEY_PREFIX: uniquePrefix(),
    QUOTA_COLLECTION_PATH: uniqueId(),
    VPC_CONNECTOR: "projects/shop/locations/europe-west1/connectors/functions-connector",
    ...more,
  };
  const lines = Object.entries(params).map(([name, value]) => `${name}=${value}`);
  writeFileSync(file, `# the form's values\n${lines.join("\n")}\n`);
  const collection = target.db.collection(params.QUOTA_COLLECTION_PATH);
  for (const id of ["ada", "bob", "eve"]) await collection.doc(id).set({ aiCallsUsed: 1, aiCallsLimit: 10 });
  const run = (...args: string[]) =>
    runCommand([...args, "--env-file", file], { firestore: () => connect(target.address, target.project) });
  return {
    file,
    collection,
    keys: new Keys(params.KEY_PREFIX),
    run,
    mode: () => parseEnv(readFileSync(file, "utf8"))["MODE"],
    async migrate(...args: string[]) {
      const { exitCode, output, errors } = await run("--json", "migrate", ...args);
      if (!output) throw new Error(errors);
      const answer = JSON.parse(output) as {
        phase: { number: number };
        ready: boolean;
        checks: Finding[];
        next?: { params: object };
        back?: { params: object };
      };
      return {
        exitCode,
        ...answer,
        phase: answer.phase.number,
        failed: answer.checks.filter(({ verdict }) => verdict === "fail").map(({ check }) => check),
        verdicts: Object.fromEntries(answer.checks.map(({ check, verdict }) => [check, verdict])),
      };
    },
    /** What the app's functions have counted. */
    async count(counts: { hits: number; misses: number }) {
      const services = createServices(
        parseServiceConfig(params),
        () => target.db,
        createLogs(() => {}),
      );
      services.sharedCounts.add(Object.assign(new Counters(), counts));
      await waitFor(async () => (await services.sharedCounts.recentIfKnown())?.hits === counts.hits, {
        what: "the counts in Redis",
      });
      services.close();
    },
    /** What the app's functions do in a mode. */
    async consume(mode: string, providerId: string, cost: number) {
      const config = parseServiceConfig({ ...params, MODE: mode });
      const services = createServices(
        config,
        () => target.db,
        createLogs(() => {}),
      );
      try {
        return await services.quotaService.consume(providerId, { cost });
      } finally {
        services.close();
      }
    },
  };
}

test("leads from phase to phase, and back, and counts every call on the way", async () => {
  const app = await installed({ MODE: "firestore" });
  await app.consume("firestore", "ada", 1);
  const setup = await app.migrate("--apply");
  expect(setup).toMatchObject({ exitCode: 0, phase: 1, ready: true, failed: [] });
  expect(setup.back).toBeUndefined();
  expect(app.mode()).toBe("dual-write");
  expect(readFileSync(app.file, "utf8")).toMatch(/^# the form's values\n[^]+\nBACKFILL_ON_INSTALL=true\n$/);

  const empty = await app.migrate("--apply");
  expect(empty).toMatchObject({ exitCode: 1, phase: 2, ready: false, failed: ["backfill", "drift"] });
  expect(app.mode()).toBe("dual-write");

  expect((await app.run("backfill")).exitCode).toBe(0);
  await app.consume("dual-write", "ada", 1);
  const ready = await app.migrate("--apply");
  expect(ready).toMatchObject({ exitCode: 0, phase: 2, ready: true, failed: [] });
  expect(ready.verdicts).toMatchObject({ backfill: "pass", drift: "pass", answers: "pass", pending: "pass" });
  expect(app.mode()).toBe("redis-primary");

  await app.consume("redis-primary", "ada", 1);
  const primary = await app.migrate();
  expect(primary).toMatchObject({ exitCode: 0, phase: 4, ready: true });
  expect(primary.verdicts).toMatchObject({ pending: "pass", "rate limits": "warn", backfill: "warn" });
  expect((await app.collection.doc("ada").get()).get("aiCallsUsed")).toBe(3);

  const back = await app.run("--json", "rollback", "--to", "dual-write", "--apply");
  expect(JSON.parse(back.output)).toMatchObject({ flushed: 1, pendingProviders: 0, applied: true });
  expect((await app.collection.doc("ada").get()).get("aiCallsUsed")).toBe(4);
  expect(await app.migrate()).toMatchObject({ phase: 2, ready: true });
  expect((await app.run("rollback", "--apply")).output).toContain("MODE was dual-write and is firestore now");
  expect(await app.migrate()).toMatchObject({ phase: 1, ready: true });
});

test.each([
  // migrate itself may have counted a check.
  { hits: 6_000, misses: 4_000, verdict: "warn", share: /^60\.0 % of 1000[01] quota checks/ },
  { hits: 19_000, misses: 1_000, verdict: "pass", share: /^95\.0 % of 2000[01] quota checks/ },
])(
  "advises on the TTL by the quotas' own $hits hits and $misses misses, not by those of the server",
  async ({ hits, misses, verdict, share }) => {
    const app = await installed({ MODE: "redis-primary" });
    const other = connectRedis(redis.port);
    // Whatever else uses the server: mostly hits for the first, mostly misses for the second.
    await other.set("other", 1, "EX", 60);
    for (let i = 0; i < 100; i++) await other.get(verdict === "warn" ? "other" : "none");
    other.disconnect();
    await app.count({ hits, misses });
    const { checks } = await app.migrate();
    expect(checks.find(({ check }) => check === "hit rate")).toMatchObject({
      verdict,
      found: expect.stringMatching(share) as string,
    });
  },
);

describe("does not leave dual-write", () => {
  async function inDualWrite() {
    const app = await installed({ MODE: "dual-write" });
    await app.run("backfill");
    return app;
  }

  test("while entries had missed a change, which it mends", async () => {
    const app = await inDualWrite();
    // A deletion whose event never came.
    await app.collection.doc("eve").delete();
    expect(await app.migrate("--apply")).toMatchObject({ exitCode: 1, failed: ["drift"] });
    expect(app.mode()).toBe("dual-write");
    expect(await app.migrate()).toMatchObject({ exitCode: 0, phase: 2 });
  });

  test("while Firestore lacks usage", async () => {
    const app = await inDualWrite();
    await app.consume("redis-primary", "bob", 2);
    expect(await app.migrate()).toMatchObject({ exitCode: 1, failed: ["pending"] });
    await app.run("sync");
    expect(await app.migrate()).toMatchObject({ exitCode: 0 });
  });

  test("while documents hold no valid quota", async () => {
    const app = await inDualWrite();
    await app.collection.doc("mallory").set({ aiCallsUsed: "many" });
    await app.run("backfill");
    expect(await app.migrate()).toMatchObject({ exitCode: 1, failed: ["fields"] });
    await app.collection.doc("mallory").update({ aiCallsUsed: 5 });
    // The document is well; the backfill that found it was not.
    expect((await app.migrate()).failed).toEqual(["backfill"]);
    await app.run("backfill");
    expect(await app.migrate()).toMatchObject({ exitCode: 0 });
  });

  test("with a Redis that may drop usage", async () => {
    const loose = await startRedis({ args: ["--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru"] });
    try {
      const app = await installed({ MODE: "dual-write", REDIS_PORT: String(loose.port) });
      await app.run("backfill");
      expect(await app.migrate()).toMatchObject({ phase: 2, failed: ["eviction policy"] });
    } finally {
      await loose.stop();
    }
  });

  test("after a backfill that Redis has lost, unless it is told to do without", async () => {
    const app = await inDualWrite();
    const client = connectRedis(redis.port);
    await client.del(app.keys.lastBackfill());
    client.disconnect();
    expect(await app.migrate()).toMatchObject({ exitCode: 1, failed: ["backfill"] });
    expect(await app.migrate("--without-backfill")).toMatchObject({ exitCode: 0, phase: 2 });
  });

  test("where no mirror brings a change to Redis", async () => {
    const app = await inDualWrite();
    expect((await app.migrate()).verdicts).toMatchObject({ mirror: "by-hand" });
    expect((await app.migrate("--probe")).failed).toEqual(["mirror"]);
  }, 60_000);
});

test("stays in Redis primary while a sync is overdue", async () => {
  const app = await installed({ MODE: "redis-primary", SYNC_SCHEDULE: "every 1 minutes" });
  await app.run("backfill");
  await app.consume("redis-primary", "bob", 2);
  expect(await app.migrate()).toMatchObject({ phase: 4, ready: true });
  const client = connectRedis(redis.port);
  await client.zadd(app.keys.dirty("bob"), Date.now() - 4 * 60_000, "bob");
  client.disconnect();
  const overdue = await app.migrate();
  expect(overdue).toMatchObject({ phase: 3, exitCode: 1, failed: ["pending"] });
  expect(overdue.back).toMatchObject({ params: { MODE: "dual-write" } });
});

test("a Redis that is away is a setup that is not done, or Redis primary that is to be left", async () => {
  const dualWrite = await installed({ MODE: "dual-write", REDIS_PORT: "1" });
  expect(await dualWrite.migrate()).toMatchObject({ exitCode: 1, phase: 1 });
  const unknown = await installed({ MODE: "redis" });
  expect(await unknown.migrate()).toMatchObject({ exitCode: 1, phase: 1, failed: ["params"] });
  const primary = await installed({ MODE: "redis-primary", REDIS_PORT: "1" });
  expect(await primary.migrate()).toMatchObject({ exitCode: 1, phase: 3, ready: false });
});

test("shows the phases, the checks, the exact commands and the way back", async () => {
  const app = await installed({ MODE: "dual-write" });
  await app.run("backfill");
  const { output } = await app.run("migrate");
  expect(output).toMatch(/1 {2}Setup +done\n +2 {2}Dual-write +here: MODE is dual-write\n/);
  expect(output).toMatch(/PASS {2}backfill +3 of 3 documents, ended 20\d\d-/);
  expect(output).toContain(
    "To go on to phase 3, Redis primary:\n  set MODE=redis-primary\n  firebase deploy",
  );
  expect(output).toContain(
    `The way back:\n  npx firestore-redis-quota rollback --to firestore --env-file ${app.file} --project shop\n  set MODE=firestore\n`,
  );
  const nothing = await runCommand(["migrate"]);
  expect(nothing.exitCode).toBe(1);
  expect(nothing.output).toContain("gcloud redis instances create");
  expect(nothing.output).toContain("Expected `REDIS_HOST` to be a host name");
  expect(nothing.output).toContain("Not yet");
  expect((await runCommand(["migrate", "--apply"])).exitCode).toBe(2);
});

test("long work shows how far it is on a terminal, and nothing elsewhere", async () => {
  const app = await installed({ MODE: "redis-primary" });
  const onTerminal = (...args: string[]) =>
    runCommand([...args, "--env-file", app.file], {
      firestore: () => connect(target.address, target.project),
      isTerminal: true,
    });
  expect((await onTerminal("backfill")).errors).toBe(
    `\r[${"#".repeat(20)}] 3 of 3 documents\r[${"#".repeat(20)}] 3 of 3 documents\n`,
  );
  await app.consume("redis-primary", "bob", 2);
  expect((await onTerminal("sync")).errors).toBe(`\r[${"#".repeat(20)}] 1 of 1 providers\n`);
  expect((await onTerminal("reconcile", "--count", "6")).errors).toContain(
    `\r[${"#".repeat(10)}          ] 3 of 6 entries`,
  );
  for (const command of ["backfill", "sync", "reconcile"]) expect((await app.run(command)).errors).toBe("");
});

test.each([
  ["every 5 minutes", 300_000],
  ["every 1 minute", 60_000],
  ["every hour", 3_600_000],
  ["every 24 hours", 86_400_000],
  ["every monday 09:00", undefined],
  ["*/5 * * * *", undefined],
])("the interval of %s is %s ms", (schedule, intervalMs) => {
  expect(intervalOf(schedule)).toBe(intervalMs);
});
