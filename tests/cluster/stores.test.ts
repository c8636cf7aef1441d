import type { Redis } from "ioredis";

import { Counters } from "../../functions/src/observability/counters";
import { checkPolicies } from "../../functions/src/rate-limit/policy";
import { RedisRateLimitStore } from "../../functions/src/rate-limit/redis-rate-limit-store";
import { Installations, InstallationConflictError } from "../../functions/src/quota/installations";
import { RedisQuotaStore } from "../../functions/src/quota/redis-quota-store";
import type { RedisCluster } from "../../functions/src/redis/cluster";
import { Keys } from "../../functions/src/redis/keys";
import { SharedCounts } from "../../functions/src/redis/shared-counts";
import { RedisSessionStore } from "../../functions/src/session/redis-session-store";
import { startTarget, type FirestoreTarget } from "../emulator-firestore/firestore-target.ts";
import { assembleQuotaParts } from "../harness/quota-parts.ts";
import { recordLogs } from "../harness/recorded-logs.ts";
import { connectCluster, connectMasters } from "../harness/test-cluster.ts";
import { uniquePrefix } from "../harness/test-redis.ts";
import { waitFor } from "../harness/wait-for.ts";

/** Enough for several in each of the 16 buckets. */
const IDS = Array.from({ length: 100 }, (_, i) => `p${i}`);
const REQUEST = { cost: 1, peek: false };

let target: FirestoreTarget;
let masters: readonly Redis[];
let cluster: RedisCluster;
let keys: Keys;

beforeAll(async () => {
  target = await startTarget();
  masters = connectMasters();
  ({ cluster } = connectCluster());
});

beforeEach(() => {
  keys = new Keys(uniquePrefix());
});

afterAll(async () => {
  cluster.close();
  for (const master of masters) master.disconnect();
  await target.stop();
});

const snapshot = (used: number, limit: number) => ({
  quota: { used, limit },
  version: Date.now() * 1000,
  asOfMs: Date.now(),
  marker: 0,
  created: 0,
});

const quotaStore = () => new RedisQuotaStore(cluster, keys, { ttlSeconds: 300, missingLimit: 100 });

test.each(["fixed-window", "sliding-window", "token-bucket"] as const)(
  "%s: of 20,000 requests at once over 2 connections and 20 subjects exactly the limit is allowed",
  async (algorithm) => {
    const limit = 700;
    const { limits } = checkPolicies([
      { name: "p", by: "uid", limits: [{ algorithm, limit, window: "24 h" }] },
    ])[0]!;
    const connections = [connectCluster(undefined, 20_000), connectCluster(undefined, 20_000)];
    const stores = connections.map((each) => new RedisRateLimitStore(each.cluster, keys));
    try {
      const decisions = await Promise.all(
        Array.from({ length: 20_000 }, (_, i) => stores[i % 2]!.take(limits, `s${i % 20}`, REQUEST)),
      );
      for (let s = 0; s < 20; s++) {
        const allowed = decisions.filter((decision, i) => decision.allowed && i % 20 === s);
        expect(allowed.map(({ remaining }) => remaining).sort((x, y) => y - x)).toEqual(
          Array.from({ length: limit }, (_, i) => limit - 1 - i),
        );
      }
    } finally {
      for (const each of connections) each.cluster.close();
    }
  },
);

test("several limits in one policy, refunds, resets and blocks concern the subject alone, wherever it is", async () => {
  const store = new RedisRateLimitStore(cluster, keys);
  const { limits } = checkPolicies([
    {
      name: "p",
      by: "uid",
      limits: [
        { algorithm: "fixed-window", limit: 2, window: "1 h" },
        { algorithm: "token-bucket", limit: 9, window: "24 h" },
      ],
    },
  ])[0]!;
  const takeAll = async () =>
    (await Promise.all(IDS.map((id) => store.take(limits, id, REQUEST)))).map(({ allowed }) => allowed);
  expect(await takeAll()).toEqual(IDS.map(() => true));
  expect(await takeAll()).toEqual(IDS.map(() => true));
  expect(await takeAll()).toEqual(IDS.map(() => false));
  await store.refund(limits, "p1", 1);
  await store.reset(limits, "p2");
  await store.block(limits, "p3", Date.now() + 60_000);
  await store.reset(limits, "p3");
  await store.block(limits, "p4", Date.now() + 60_000);
  expect(await takeAll()).toEqual(IDS.map((id) => ["p1", "p2", "p3"].includes(id)));
});

test("consumptions of many providers at once are counted exactly, each with its bucket's", async () => {
  const store = quotaStore();
  await Promise.all(IDS.map((id) => store.apply(id, snapshot(0, 7))));
  const outcomes = await Promise.all(
    Array.from({ length: 10 * IDS.length }, (_, i) =>
      store.consume({
        providerId: IDS[i % IDS.length]!,
        cost: 1,
        idempotencyKey: i % 3 ? undefined : `k${i}`,
      }),
    ),
  );
  for (const [i, id] of IDS.entries()) {
    const own = outcomes.filter((_, at) => at % IDS.length === i);
    expect(own.filter(({ kind }) => kind === "accepted")).toHaveLength(7);
    expect(await store.read(id)).toEqual({ kind: "snapshot", quota: { used: 7, limit: 7 } });
  }
  expect(await store.dirty()).toMatchObject({ providers: IDS.length });
  expect(await store.hasDirtyProviders()).toBe(true);
});

test("a sync brings the usage of all buckets to Firestore, and leaves nothing behind", async () => {
  const {
    service,
    sync,
    collection,
    keys: own,
  } = assembleQuotaParts({
    firestore: target.db,
    redis: cluster,
    mode: "redis-primary",
  });
  await Promise.all(IDS.map((id, i) => collection.doc(id).set({ aiCallsUsed: i, aiCallsLimit: 1000 })));
  await Promise.all(IDS.map((id) => service.consume(id, { cost: 5 })));
  expect(await sync.unsynced()).toMatchObject({ pendingProviders: IDS.length });
  expect(await sync.flushAll({ deadlineMs: Date.now() + 20_000 })).toMatchObject({
    flushed: IDS.length,
    failed: 0,
    complete: true,
    oldestUnsyncedMs: 0,
  });
  const documents = await target.db.getAll(...IDS.map((id) => collection.doc(id)));
  expect(documents.map((each) => each.get("aiCallsUsed") as number)).toEqual(IDS.map((_, i) => i + 5));
  expect(await sync.unsynced()).toEqual({ pendingProviders: 0, oldestPendingMs: 0 });
  const perMaster = await Promise.all(
    masters.map((master) => master.keys(`${own.quota("x").split("{")[0]}*:q:*`)),
  );
  for (const held of perMaster) expect(held.length).toBeGreaterThan(10);
});

test("a sample walks over all masters, and goes on where the last ended", async () => {
  const store = quotaStore();
  await Promise.all(IDS.map((id) => store.apply(id, snapshot(1, 7))));
  const [first] = await cluster.masters();
  const key = keys.sampleCursor();
  const places: (string | null)[] = [];
  const seen = new Set<string>();
  // The keys of other tests make the walk longer than these providers would.
  do {
    for (const { providerId } of (await store.sample(20)).entries) seen.add(providerId);
    places.push(await cluster.runFor(key, (redis) => redis.get(key)));
  } while (places.at(-1) !== `0 ${first!.address}`);
  expect(seen).toEqual(new Set(IDS));
  const addresses = new Set(places.map((place) => place!.split(" ")[1]));
  expect(addresses).toEqual(new Set((await cluster.masters()).map(({ address }) => address)));
});

test("sessions of all buckets are read together", async () => {
  const store = new RedisSessionStore(cluster, keys, { ttlSeconds: 3600 }, recordLogs().logs);
  await Promise.all(IDS.map((id) => store.write(id, { id }, 60_000)));
  const entries = await Promise.all(IDS.map((id) => store.read(id)));
  expect(entries).toEqual(IDS.map((id) => ({ kind: "session", data: { id }, storedVersion: undefined })));
});

test("what several processes have counted adds up, whichever masters have the hours", async () => {
  const hourMs = 60 * 60 * 1000;
  const clock = { nowMs: Date.now() };
  const other = connectCluster();
  try {
    const counts = [cluster, other.cluster].map((each) => new SharedCounts(each, keys, () => clock.nowMs));
    const counted = new Counters();
    counted.hits = 1;
    for (let hour = 0; hour < 8; hour++, clock.nowMs += hourMs) {
      for (const each of counts) each.add(counted);
      const expected = hour === 0 ? 2 : 4;
      await waitFor(async () => (await counts[0]!.recentIfKnown())?.hits === expected, {
        what: `${expected} hits in two hours`,
      });
    }
  } finally {
    other.cluster.close();
  }
});

test("installations are seen on all masters, and a changed key prefix is refused", async () => {
  const source = { database: "(default)", collection: uniquePrefix() };
  const create = (keyPrefix: string, collection = source.collection) =>
    new Installations(
      cluster,
      keyPrefix,
      { ...source, collection },
      { isCounting: true, canRegister: true },
      () => undefined,
    );
  const [prefix, unregistered] = [uniquePrefix(), uniquePrefix()];
  await create(prefix).confirm();
  for (const keyPrefix of [prefix, unregistered]) {
    const dirty = new Keys(keyPrefix).dirty("ada");
    await cluster.runFor(dirty, (redis) => redis.zadd(dirty, 1, "ada"));
  }
  const changed = create(uniquePrefix());
  const key = new Keys(prefix).quota("ada");
  await expect(changed.guard().runFor(key, (redis) => redis.get(key))).rejects.toThrow(
    InstallationConflictError,
  );
  await expect(create(prefix, uniquePrefix()).confirm()).rejects.toThrow(source.collection);
  const others = await changed.unsyncedOthers();
  expect(others).toEqual(
    expect.arrayContaining([
      { keyPrefix: prefix, source },
      { keyPrefix: unregistered, source: undefined },
    ]),
  );
  await create(prefix).unregister();
  await changed.confirm();
  await changed.unregister();
});

test("a master that has lost its scripts is sent them again", async () => {
  const store = quotaStore();
  await Promise.all(IDS.map((id) => store.apply(id, snapshot(0, 7))));
  await masters[1]!.script("FLUSH");
  const outcomes = await Promise.all(IDS.map((providerId) => store.consume({ providerId, cost: 1 })));
  expect(new Set(outcomes.map(({ kind }) => kind))).toEqual(new Set(["accepted"]));
  expect(await Promise.all(IDS.map((id) => store.read(id)))).toEqual(
    IDS.map(() => ({ kind: "snapshot", quota: { used: 1, limit: 7 } })),
  );
});

test("in all this no command had keys of two slots, and none was sent to a server that had not its key", async () => {
  for (const master of masters) {
    const errors = await master.info("errorstats");
    expect(errors).not.toContain("CROSSSLOT");
    expect(errors).not.toContain("MOVED");
  }
});
