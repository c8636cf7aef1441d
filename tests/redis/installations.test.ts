import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import type { Redis } from "ioredis";

import { checkInstallation } from "../../functions/src/cli/doctor-firestore";
import type { Finding } from "../../functions/src/cli/finding";
import { parseServiceConfig } from "../../functions/src/config/config";
import type { ParamValues } from "../../functions/src/config/param-specs";
import { InstallationConflictError } from "../../functions/src/quota/installations";
import { Keys } from "../../functions/src/redis/keys";
import { createServices, type Deployment } from "../../functions/src/services";
import { startRedis, type RedisServer } from "../../scripts/redis-server.mjs";
import {
  connect,
  startTarget,
  uniqueId,
  type FirestoreTarget,
} from "../emulator-firestore/firestore-target.ts";
import { recordLogs } from "../harness/recorded-logs.ts";
import { runCommand } from "../harness/run-cli.ts";
import { connectRedis, uniquePrefix } from "../harness/test-redis.ts";

const COUNTING = "redis-primary";

let target: FirestoreTarget;
let server: RedisServer;
let redis: Redis;
const opened: { close(): void }[] = [];

beforeAll(async () => {
  target = await startTarget();
  // For itself: what another test leaves unsynced would be found here.
  server = await startRedis();
  redis = connectRedis(server.port);
});

afterEach(async () => {
  for (const { close } of opened.splice(0)) close();
  await redis.flushall();
});

afterAll(async () => {
  redis.disconnect();
  await server.stop();
  await target.stop();
});

const installation = (): ParamValues => ({
  REDIS_HOST: "127.0.0.1",
  REDIS_PORT: String(server.port),
  REDIS_TIMEOUT_MS: "2000",
  KEY_PREFIX: uniquePrefix(),
  QUOTA_COLLECTION_PATH: uniqueId(),
  MODE: COUNTING,
});

/** A new process with these params. */
function start(params: ParamValues, deployment?: Deployment) {
  const recorded = recordLogs();
  const config = parseServiceConfig(params);
  const services = createServices(config, () => target.db, recorded.logs, undefined, deployment);
  opened.push(services);
  return { ...services, recorded };
}

const run = (args: readonly string[], environment: ParamValues) =>
  runCommand(args, { environment, firestore: () => connect(target.address, target.project) });

const usedOf = async ({ QUOTA_COLLECTION_PATH: collection }: ParamValues) =>
  (await target.db.doc(`${collection}/p1`).get()).get("aiCallsUsed") as unknown;

/** Usage that Firestore does not have. */
async function useQuota(params: ParamValues): Promise<void> {
  await target.db.doc(`${params.QUOTA_COLLECTION_PATH}/p1`).set({ aiCallsUsed: 1, aiCallsLimit: 10 });
  const { quotaService } = start(params);
  expect(await quotaService.consume("p1", { cost: 3 })).toMatchObject({ used: 4, source: "redis" });
}

const CHANGES: readonly (readonly [what: string, change: () => ParamValues])[] = [
  ["KEY_PREFIX", () => ({ KEY_PREFIX: uniquePrefix() })],
  ["QUOTA_COLLECTION_PATH", () => ({ QUOTA_COLLECTION_PATH: uniqueId() })],
  ["DATABASE", () => ({ DATABASE: "other" })],
];

describe.each(CHANGES)("with a changed %s", (what, change) => {
  test.each([COUNTING, "dual-write", "firestore"])(
    "in %s, unsynced usage is neither left behind nor added to other documents",
    async (mode) => {
      const before = installation();
      await useQuota(before);
      const after = { ...before, ...change(), MODE: mode };
      const { quotaService, quotaSync, recorded } = start(after);
      if (what === "QUOTA_COLLECTION_PATH")
        await target.db.doc(`${after.QUOTA_COLLECTION_PATH}/p1`).set({ aiCallsUsed: 0, aiCallsLimit: 10 });
      const deadlineMs = Date.now() + 60_000;
      for (const call of [
        () => quotaService.consume("p1"),
        () => quotaService.refund("p1"),
        () => quotaService.check("p1"),
        () => quotaSync.flushAll({ deadlineMs }),
      ]) {
        const error = await call().then(
          () => undefined,
          (error: unknown) => error as Error,
        );
        expect(error).toBeInstanceOf(InstallationConflictError);
        expect(error!.message).toContain(`KEY_PREFIX ${before.KEY_PREFIX}`);
        expect(error!.message).toContain(`the collection ${before.QUOTA_COLLECTION_PATH} (`);
        expect(error!.message).toMatch(/Set .+ back.+run rollback until nothing is left/);
      }
      expect(recorded.events()).toContain("installation_conflict");
      expect(await usedOf(after)).toBe(what === "QUOTA_COLLECTION_PATH" ? 0 : 1);

      const rollback = await run(["rollback"], after);
      expect(rollback).toMatchObject({ exitCode: 1, output: "" });
      expect(rollback.errors).toContain(`KEY_PREFIX ${before.KEY_PREFIX}`);
      const findings = (await run(["doctor"], after)).output;
      expect(findings).toMatch(/FAIL {2}installation +.*KEY_PREFIX/);

      const back = start(before);
      await back.quotaSync.flushAll({ deadlineMs });
      expect(await usedOf(before)).toBe(4);
    },
  );

  test("a rollback allows the change", async () => {
    const before = installation();
    await useQuota(before);
    const early = await run(["--json", "rollback"], before);
    expect(JSON.parse(early.output)).toMatchObject({ flushed: 1, pendingProviders: 0 });
    const after = { ...before, ...change() };
    // Instances with the old params can still be counting.
    await expect(start(after).quotaService.consume("p1")).rejects.toThrow(InstallationConflictError);
    expect((await run(["rollback"], { ...before, MODE: "dual-write" })).exitCode).toBe(0);
    await target.db.doc(`${after.QUOTA_COLLECTION_PATH}/p1`).set({ aiCallsUsed: 5, aiCallsLimit: 10 });
    if (what === "DATABASE") return; // the test's client is of one database
    expect((await start(after).quotaService.consume("p1")).allowed).toBe(true);
    expect(Object.keys(await redis.hgetall(Keys.INSTALLATIONS))).toEqual([after.KEY_PREFIX]);
  });
});

test("a Redis that holds nothing unsynced does not keep dual-write and firestore from other params", async () => {
  const before = installation();
  await useQuota(before);
  expect((await run(["sync"], before)).exitCode).toBe(0);
  for (const mode of ["dual-write", "firestore"])
    for (const [, change] of CHANGES.slice(0, 2)) {
      const { quotaService } = start({ ...before, ...change(), MODE: mode });
      expect(await quotaService.consume("p1")).toMatchObject({ allowed: true, source: "firestore" });
    }
});

test("the same collection of another project is another one, if the projects are known", async () => {
  const params = installation();
  const { quotaService } = start(params, { project: "staging" });
  await quotaService.consume("p1");
  expect((await start(params).quotaService.consume("p1")).used).toBe(2);
  const production = start(params, { project: "production" });
  await expect(production.quotaService.consume("p1")).rejects.toThrow("project staging");
});

test("a process looks at the installations when it starts, and not at each call", async () => {
  const { quotaService } = start(installation());
  await redis.config("RESETSTAT");
  for (let i = 0; i < 50; i++) await quotaService.consume("p1");
  const stats = await redis.info("commandstats");
  const calls = (command: string) =>
    Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(stats)?.[1] ?? 0);
  // The second look is for another key prefix that is registered at the same time.
  expect([calls("hgetall"), calls("hsetnx")]).toEqual([2, 1]);
  expect(calls("evalsha")).toBeGreaterThanOrEqual(50);
});

test("without an answer of Redis, the first call is answered by Firestore, and nothing is unknown", async () => {
  const { quotaService } = start({ ...installation(), REDIS_TIMEOUT_MS: "100" });
  await redis.call("CLIENT", "PAUSE", "400", "ALL");
  expect(await quotaService.consume("p1")).toMatchObject({ allowed: true, source: "firestore" });
});

test("a Redis user that is limited to keys with the prefix can be used", async () => {
  const params = installation();
  await redis.call("ACL", "SETUSER", "default", "resetkeys", `~${params.KEY_PREFIX}:*`);
  try {
    expect(await start(params).quotaService.consume("p1")).toMatchObject({ source: "redis", used: 1 });
    expect((await run(["rollback"], { ...params, MODE: "firestore" })).exitCode).toBe(0);
  } finally {
    await redis.call("ACL", "SETUSER", "default", "allkeys");
  }
});

test.each([
  ["run SCAN", () => ["-scan"]],
  ["read other keys", (keyPrefix: string) => ["resetkeys", `~${keyPrefix}:*`]],
])("rollback --apply sets MODE and reports if the Redis user may not %s", async (_what, rulesFor) => {
  const params = installation();
  await useQuota(params);
  const file = path.join(mkdtempSync(path.join(tmpdir(), "rollback-")), "quota.env");
  writeFileSync(
    file,
    Object.entries(params)
      .map(([name, value]) => `${name}=${value}\n`)
      .join(""),
  );
  await redis.call("ACL", "SETUSER", "default", ...rulesFor(params.KEY_PREFIX!));
  try {
    const { exitCode, output, errors } = await run(["rollback", "--apply", "--env-file", file], {});
    expect([exitCode, errors]).toEqual([0, ""]);
    expect(output).toContain("1 providers were brought to Firestore, 0 failed.");
    expect(output).toMatch(/Could not look for unsynced usage under other key prefixes: .*NOPERM/);
    expect(readFileSync(file, "utf8")).toContain("MODE=firestore\n");
    const doctor = (await run(["--json", "doctor", "--env-file", file], {})).output;
    const finding = (JSON.parse(doctor) as Finding[]).find(({ check }) => check === "installation");
    expect(finding).toMatchObject({
      verdict: "warn",
      found: expect.stringContaining("other installations could not be looked for") as string,
      todo: expect.stringContaining(` ~${Keys.INSTALLATIONS} `) as string,
    });
  } finally {
    await redis.call("ACL", "SETUSER", "default", "allkeys", "+@all");
  }
});

test("doctor finds unsynced usage under a key prefix that the Redis user may not read", async () => {
  const [own, other] = [installation(), installation()];
  await useQuota(other);
  const keys = [`~${own.KEY_PREFIX}:*`, `~${Keys.INSTALLATIONS}`];
  await redis.call("ACL", "SETUSER", "default", "resetkeys", ...keys);
  try {
    const { output } = await run(["doctor"], own);
    expect(output).toMatch(new RegExp(`WARN {2}installation .*KEY_PREFIX ${other.KEY_PREFIX}`));
  } finally {
    await redis.call("ACL", "SETUSER", "default", "allkeys");
  }
});

test("doctor does not report an unavailable Redis as a conflict", async () => {
  const finding = await checkInstallation(start({ ...installation(), REDIS_PORT: "1" }), "");
  expect(finding).toMatchObject({ verdict: "fail", todo: "See docs/operations.md#redis-unreachable." });
});

test("rollback names its installation, and others with unsynced usage, also those that are not registered", async () => {
  const [own, other, unregistered] = [installation(), installation(), installation()];
  for (const params of [own, other, unregistered]) await useQuota(params);
  await redis.hdel(Keys.INSTALLATIONS, unregistered.KEY_PREFIX!);
  const { exitCode, output } = await run(["rollback"], own);
  expect(exitCode).toBe(0);
  expect(output).toContain(
    `KEY_PREFIX is ${own.KEY_PREFIX}, MODE is redis-primary, for the collection ${own.QUOTA_COLLECTION_PATH} (database (default)).`,
  );
  expect(output).toContain(
    `usage of KEY_PREFIX ${other.KEY_PREFIX} for the collection ${other.QUOTA_COLLECTION_PATH} (database (default)).`,
  );
  expect(output).toContain(`usage of KEY_PREFIX ${unregistered.KEY_PREFIX}.`);
  expect((await run(["doctor"], own)).output).toMatch(/WARN {2}installation /);
});

test("rollback brings usage to Firestore that an old instance left under a key prefix given up", async () => {
  const before = installation();
  await useQuota(before);
  expect((await run(["rollback"], { ...before, MODE: "dual-write" })).exitCode).toBe(0);
  const after = { ...before, KEY_PREFIX: uniquePrefix() };
  await useQuota(after);
  // As an instance that has not looked for a conflict since.
  await redis.hdel(Keys.INSTALLATIONS, after.KEY_PREFIX);
  await start(before).quotaService.consume("p1", { cost: 2 });
  await redis.hset(
    Keys.INSTALLATIONS,
    after.KEY_PREFIX,
    (await redis.hget(Keys.INSTALLATIONS, before.KEY_PREFIX!))!,
  );
  const back = await run(["--json", "rollback"], { ...before, MODE: "dual-write" });
  expect(JSON.parse(back.output)).toMatchObject({ flushed: 1, pendingProviders: 0 });
  expect(await usedOf(before)).toBe(3);
  expect(Object.keys(await redis.hgetall(Keys.INSTALLATIONS))).toEqual([after.KEY_PREFIX]);
  expect((await start(after).quotaService.check("p1")).found).toBe(true);
});

test("of two key prefixes that begin at the same time at most one is registered", async () => {
  for (let round = 0; round < 10; round++) {
    const one = installation();
    const other = { ...one, KEY_PREFIX: uniquePrefix() };
    await target.db.doc(`${one.QUOTA_COLLECTION_PATH}/p1`).set({ aiCallsUsed: 0, aiCallsLimit: 10 });
    const calls = await Promise.allSettled(
      [one, other].map((params) => start(params).quotaService.consume("p1")),
    );
    const accepted = calls.filter(({ status }) => status === "fulfilled");
    expect(accepted.length).toBeLessThanOrEqual(1);
    expect(await redis.hlen(Keys.INSTALLATIONS)).toBe(accepted.length);
    for (const call of calls)
      if (call.status === "rejected") expect(call.reason).toBeInstanceOf(InstallationConflictError);
    await redis.flushall();
  }
});

test("a command takes the project from the environment, so that usage is not brought to another one", async () => {
  const params = installation();
  await target.db.doc(`${params.QUOTA_COLLECTION_PATH}/p1`).set({ aiCallsUsed: 1, aiCallsLimit: 10 });
  await start(params, { project: target.project }).quotaService.consume("p1", { cost: 3 });
  const back = { ...params, MODE: "dual-write" };
  const firestore = () => connect(target.address, target.project);
  const foreign = await runCommand(["rollback"], { environment: back, firestore, project: "staging" });
  expect(foreign.exitCode).toBe(1);
  expect(foreign.errors).toContain("project staging");
  expect(await usedOf(params)).toBe(1);
  const own = await runCommand(["rollback"], { environment: back, firestore, project: target.project });
  expect(own.exitCode).toBe(0);
  expect(await usedOf(params)).toBe(4);
});
