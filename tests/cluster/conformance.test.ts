import { setTimeout as sleep } from "node:timers/promises";

import type { Redis } from "ioredis";

import { createRedisQuota, type RedisQuota } from "../../functions/src/lib";
import type { QuotaMode } from "../../functions/src/quota/quota-service";
import { RedisRateLimitStore } from "../../functions/src/rate-limit/redis-rate-limit-store";
import type { RedisCluster } from "../../functions/src/redis/cluster";
import { Keys } from "../../functions/src/redis/keys";
import type { RedisServers } from "../../functions/src/redis/redis-servers";
import { LIMITER_CLIENT_CASES, LIMITER_POLICIES } from "../cases/limiter-client.ts";
import { QUOTA_CLIENT_CASES } from "../cases/quota-client.ts";
import { RATE_LIMIT_CASES } from "../cases/rate-limits.ts";
import { SESSION_CLIENT_CASES } from "../cases/session-client.ts";
import { startTarget, type FirestoreTarget } from "../emulator-firestore/firestore-target.ts";
import { holdClock } from "../harness/held-clock.ts";
import { ProviderDocuments } from "../harness/provider-documents.ts";
import { assembleQuotaParts } from "../harness/quota-parts.ts";
import { EPOCH_MS, expectCase } from "../harness/rate-limit-case.ts";
import { connectCluster, connectMasters, testClusterPorts } from "../harness/test-cluster.ts";
import { uniquePrefix } from "../harness/test-redis.ts";

let target: FirestoreTarget;
let masters: readonly Redis[];
let cluster: RedisCluster;

beforeAll(async () => {
  target = await startTarget();
  masters = connectMasters();
  ({ cluster } = connectCluster());
});

afterAll(async () => {
  cluster.close();
  for (const master of masters) master.disconnect();
  await target.stop();
});

describe("rate limits: the table of cases, by the Lua with its clock held", () => {
  const heldCluster = (nowMs: () => number): RedisServers => ({
    isCluster: true,
    address: cluster.address,
    masters: () => cluster.masters(),
    close: () => {},
    runFor: (key, command, startedMs) =>
      cluster.runFor(key, (redis) => holdClock(redis, nowMs).runFor(key, command), startedMs),
  });

  test.each(RATE_LIMIT_CASES)("$name", async (each) => {
    let now = EPOCH_MS;
    const held = new RedisRateLimitStore(
      heldCluster(() => now),
      new Keys(uniquePrefix()),
      () => now,
    );
    await expectCase(each, held, (nowMs) => (now = nowMs));
  });
});

describe.each<QuotaMode>(["dual-write", "redis-primary"])("the SDK in mode %s", (mode) => {
  const keyPrefix = uniquePrefix();
  let client: RedisQuota;

  beforeAll(() => {
    client = createRedisQuota({
      redisHost: "127.0.0.1",
      redisPort: testClusterPorts()[0]!,
      redisTopology: "cluster",
      redisTimeoutMs: 2000,
      keyPrefix,
      mode,
      quotaCollectionPath: keyPrefix,
      sessionCollectionPath: `${keyPrefix}-sessions`,
      rateLimitPolicies: LIMITER_POLICIES,
      firestore: target.db,
      log: () => {},
    });
  });

  afterAll(() => client.close());

  afterEach(async () => {
    await target.db.recursiveDelete(target.db.collection(keyPrefix));
    for (const master of masters) {
      for (const key of await master.keys(`${keyPrefix}:*`)) await master.unlink(key);
    }
  });

  test.each(SESSION_CLIENT_CASES)("sessions: $name", ({ run }) => run({ ...client, mode, passMs: sleep }));

  test.each(LIMITER_CLIENT_CASES)("limiter: $name", ({ run }) => run(client.limiter, Date.now));

  test.each(QUOTA_CLIENT_CASES)("quotas: $name", async ({ run }) => {
    const beside = { collection: target.db.collection(keyPrefix), keys: new Keys(keyPrefix) };
    const documents = new ProviderDocuments(
      assembleQuotaParts({ firestore: target.db, redis: cluster, mode, beside }),
    );
    await run({ ...client, mode, setProvider: (...document) => documents.set(...document) });
  });

  test("what is asked is answered by Redis", async () => {
    await target.db.collection(keyPrefix).doc("grace").set({ aiCallsUsed: 1, aiCallsLimit: 10 });
    await client.quota.check("grace");
    expect(await client.quota.check("grace")).toMatchObject({ used: 1, source: "redis" });
    await client.sessions.set("s1", { a: 1 });
    expect(await client.sessions.get("s1")).toEqual({ data: { a: 1 }, source: "redis" });
  });
});
