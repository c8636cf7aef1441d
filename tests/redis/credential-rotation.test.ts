import { randomBytes } from "node:crypto";

import type { Firestore } from "@google-cloud/firestore";
import { Redis } from "ioredis";

import { type FirestoreServer, startFirestoreServer } from "../../emulator/firestore/server.ts";
import type { QuotaMode } from "../../functions/src/quota/quota-service";
import { LocalRateLimitStore } from "../../functions/src/rate-limit/local-rate-limit-store";
import { checkPolicies } from "../../functions/src/rate-limit/policy";
import { RateLimiter } from "../../functions/src/rate-limit/rate-limiter";
import { RedisRateLimitStore } from "../../functions/src/rate-limit/redis-rate-limit-store";
import { RedisConnection } from "../../functions/src/redis/connection";
import { secretReader } from "../../functions/src/redis/secret-manager";
import { startRedis } from "../../scripts/redis-server.mjs";
import { connect } from "../emulator-firestore/firestore-target.ts";
import { assembleQuotaParts } from "../harness/quota-parts.ts";
import { recordLogs } from "../harness/recorded-logs.ts";
import { startSecretManager } from "../harness/secret-manager-server.ts";
import { waitFor } from "../harness/wait-for.ts";

process.env["METADATA_SERVER_DETECTION"] = "none";

const AUTH = "projects/p/secrets/auth";
const CALLERS = 8;
const newPassword = () => randomBytes(18).toString("hex");

let firestoreServer: FirestoreServer;
let firestore: Firestore;
const closing: (() => unknown)[] = [];
beforeAll(async () => {
  firestoreServer = await startFirestoreServer();
  firestore = connect(`${firestoreServer.host}:${firestoreServer.port}`, "demo-rotation");
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});
afterAll(async () => {
  await firestore.terminate();
  await firestoreServer.close();
});

/** A server with a password, whose secret and operator are the test's, and a connection that reads the secret. */
async function start() {
  const password = newPassword();
  const server = await startRedis({ args: ["--requirepass", password] });
  closing.push(() => server.stop());
  const operator = new Redis({ host: "127.0.0.1", port: server.port, password });
  closing.push(() => operator.disconnect());
  const secretManager = await startSecretManager();
  closing.push(() => secretManager.stop());
  secretManager.add(AUTH, password);
  const recorded = recordLogs();
  const connection = new RedisConnection(
    {
      host: "127.0.0.1",
      port: server.port,
      password: { param: "REDIS_AUTH_SECRET", version: `${AUTH}/versions/latest` },
      timeoutMs: 2000,
    },
    recorded.logs,
    secretReader(secretManager.host),
  );
  closing.push(() => connection.close());
  return { operator, secretManager, connection, recorded };
}

const POLICY = {
  name: "p",
  by: "subject" as const,
  onRedisFailure: "local" as const,
  limits: [{ algorithm: "fixed-window" as const, limit: 1_000_000, window: "1 d" }],
};

test.each<QuotaMode>(["dual-write", "redis-primary"])(
  "in %s, a password is changed under load: no call fails or is miscounted, and Redis answers again by itself",
  async (mode) => {
    const { operator, secretManager, connection, recorded } = await start();
    const { service, sync, collection, keys } = assembleQuotaParts({ firestore, redis: connection, mode });
    const limiter = new RateLimiter(
      { policies: () => new Map(checkPolicies([POLICY]).map((policy) => [policy.name, policy])) },
      new RedisRateLimitStore(connection, keys),
      new LocalRateLimitStore(),
      recordLogs().logs,
      recorded.metrics,
    );
    const providers = Array.from({ length: CALLERS }, (_, i) => `provider-${i}`);
    for (const provider of providers)
      await collection.doc(provider).set({ aiCallsUsed: 0, aiCallsLimit: 1_000_000 });

    const count = { calls: 0, failed: 0, wrong: 0, fallbacks: 0 };
    const failures: unknown[] = [];
    const consumed = new Map(providers.map((provider) => [provider, 0]));
    const call = async (provider: string, source: "redis" | "firestore") => {
      const [consumption, check, decision] = await Promise.all([
        service.consume(provider),
        service.check(provider),
        limiter.check("p", provider),
      ]);
      consumed.set(provider, consumed.get(provider)! + 1);
      if (!consumption.allowed || !check.hasQuota || !decision.allowed) count.wrong++;
      const sources = [consumption.source === source, check.source === "redis", decision.source === "redis"];
      count.fallbacks += sources.filter((asWhenAllIsWell) => !asWhenAllIsWell).length;
      return sources.every((asWhenAllIsWell) => asWhenAllIsWell);
    };
    const usualSource = mode === "redis-primary" ? "redis" : "firestore";
    let stopped = false;
    let lastFallbackMs = 0;
    let wellSince = 0;
    let underway = 0;
    let mayStart = Promise.resolve();
    const load = providers.map(async (provider) => {
      while (!stopped) {
        await mayStart;
        underway++;
        count.calls += 3;
        try {
          if (await call(provider, usualSource)) wellSince++;
          else {
            wellSince = 0;
            lastFallbackMs = performance.now();
          }
        } catch (error) {
          count.failed++;
          failures.push(error);
        }
        underway--;
        await new Promise(setImmediate);
      }
    });

    const allIsWell = () => wellSince > 20 * CALLERS;
    await waitFor(allIsWell, { what: "answers from Redis" });
    const fallbacksBefore = count.fallbacks;
    const password = newPassword();
    await operator.config("SET", "requirepass", password);
    let goOn = () => {};
    if (mode === "redis-primary") {
      // A call that is cut off on its way is of unknown outcome where Redis decides, whatever the password is.
      mayStart = new Promise((resolve) => (goOn = resolve));
      await waitFor(() => underway === 0, { what: "the calls underway" });
    }
    await operator.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
    await waitFor(() => recorded.events().includes("redis_unreachable"), {
      what: "the connection to be refused",
    });
    goOn();
    await waitFor(() => count.fallbacks > fallbacksBefore + 50, { what: "fallbacks" });
    const addedMs = performance.now();
    secretManager.add(AUTH, password);
    wellSince = 0;
    await waitFor(allIsWell, { what: "answers from Redis again" });
    stopped = true;
    await Promise.all(load);
    const recoveryMs = Math.max(0, lastFallbackMs - addedMs);

    if (mode === "redis-primary") await sync.flushAll({ deadlineMs: Date.now() + 10_000 });
    for (const provider of providers) {
      const used = (await collection.doc(provider).get()).get("aiCallsUsed") as number;
      if (used !== consumed.get(provider)) count.wrong++;
    }
    expect(failures).toEqual([]);
    expect(count).toMatchObject({ failed: 0, wrong: 0 });
    expect(recoveryMs).toBeLessThan(5000);
    expect(recorded.events()).toEqual([
      "redis_unreachable",
      "redis_credentials_renewed",
      "redis_reachable_again",
    ]);
  },
);
