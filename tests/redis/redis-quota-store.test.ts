import fc from "fast-check";
import type { Redis } from "ioredis";

import { CALL_RECORD_TTL_MS } from "../../functions/src/quota/call-records";
import type { QuotaSnapshot } from "../../functions/src/quota/quota";
import { RedisQuotaStore } from "../../functions/src/quota/redis-quota-store";
import { NO_DOCUMENT } from "../../functions/src/quota/stored-quota";
import { RedisConnection, RedisUnavailableError } from "../../functions/src/redis/connection";
import { Keys } from "../../functions/src/redis/keys";
import { startRedis } from "../../scripts/redis-server.mjs";
import { connectPatiently } from "../harness/patience.ts";
import { clean, storedQuota } from "../harness/stored-quota.ts";
import { connectRedis, uniquePrefix } from "../harness/test-redis.ts";

const TTL_SECONDS = 300;

let redis: Redis;
let connection: RedisConnection;
let keys: Keys;
let store: RedisQuotaStore;

beforeAll(() => {
  redis = connectRedis();
  connection = connectPatiently();
});

beforeEach(() => {
  keys = new Keys(uniquePrefix());
  store = new RedisQuotaStore(connection, keys, { ttlSeconds: TTL_SECONDS, missingLimit: 100 });
});

afterAll(() => {
  redis.disconnect();
  connection.close();
});

const T0 = Date.now() * 1000;
const snapshot = (version: number, used = version, limit = 100): QuotaSnapshot => ({
  quota: { used, limit },
  version: T0 + version,
  asOfMs: Date.now(),
  marker: 0,
  created: 0,
});
const tombstone = (version: number): QuotaSnapshot => ({ ...snapshot(version), quota: undefined });

test("a provider that nobody mentioned is a miss", async () => {
  expect(await store.read("p1")).toMatchObject({ kind: "miss" });
});

test("a snapshot is read as it was applied, and expires after the TTL or up to a tenth earlier", async () => {
  expect(await store.apply("p1", snapshot(1, 3, 50))).toBe("applied");
  expect(await store.read("p1")).toEqual({ kind: "snapshot", quota: { used: 3, limit: 50 } });
  const ttlMs = await redis.pttl(keys.quota("p1"));
  expect(ttlMs).toBeGreaterThan(TTL_SECONDS * 900 - 1000);
  expect(ttlMs).toBeLessThanOrEqual(TTL_SECONDS * 1000);
});

test("TTLs of entries written together differ", async () => {
  const ids = Array.from({ length: 20 }, (_, i) => `p${i}`);
  await Promise.all(ids.map((id) => store.apply(id, snapshot(1))));
  const ttls = await Promise.all(ids.map((id) => redis.pexpiretime(keys.quota(id))));
  expect(new Set(ttls).size).toBeGreaterThan(10);
});

test("a limit of 0 and large numbers keep their value", async () => {
  await store.apply("p1", snapshot(1, 0, 0));
  expect(await store.read("p1")).toEqual({ kind: "snapshot", quota: { used: 0, limit: 0 } });
  await store.apply("p1", snapshot(2, 999_999_999_999_999, 999_999_999_999_999));
  expect(await store.read("p1")).toEqual({
    kind: "snapshot",
    quota: { used: 999_999_999_999_999, limit: 999_999_999_999_999 },
  });
});

test("an older snapshot does not replace a newer one, nor does the same again", async () => {
  await store.apply("p1", snapshot(2));
  expect(await store.apply("p1", snapshot(1))).toBe("superseded");
  expect(await store.apply("p1", snapshot(2))).toBe("superseded");
  expect(await store.read("p1")).toMatchObject({ quota: { used: 2 } });
});

test("versions one microsecond apart are told apart", async () => {
  await store.apply("p1", snapshot(1_000_000));
  expect(await store.apply("p1", snapshot(999_999))).toBe("superseded");
  expect(await store.apply("p1", snapshot(1_000_001))).toBe("applied");
});

test("a deletion leaves a tombstone that older snapshots cannot undo, and a new document can", async () => {
  await store.apply("p1", snapshot(1));
  await store.apply("p1", tombstone(3));
  expect(await store.read("p1")).toEqual({ kind: "tombstone", used: 0 });
  expect(await store.apply("p1", snapshot(2))).toBe("superseded");
  expect(await store.read("p1")).toEqual({ kind: "tombstone", used: 0 });
  expect(await store.apply("p1", snapshot(4))).toBe("applied");
  expect(await store.read("p1")).toMatchObject({ kind: "snapshot", quota: { used: 4 } });
});

test("an invalidated entry is a miss, accepts the version that invalidated it, and nothing older", async () => {
  await store.apply("p1", snapshot(1));
  expect(await store.invalidate("p1", snapshot(3))).toBe("applied");
  expect(await store.read("p1")).toMatchObject({ kind: "miss" });
  expect(await store.apply("p1", snapshot(2))).toBe("superseded");
  expect(await store.read("p1")).toMatchObject({ kind: "miss" });
  expect(await store.apply("p1", snapshot(3))).toBe("applied");
  expect(await store.read("p1")).toMatchObject({ quota: { used: 3 } });
  expect(await store.invalidate("p1", snapshot(3))).toBe("superseded");
});

test("an invalidation keeps older snapshots out even where there was no entry", async () => {
  await store.invalidate("p1", snapshot(2));
  expect(await store.apply("p1", snapshot(1))).toBe("superseded");
  expect(await store.read("p1")).toMatchObject({ kind: "miss" });
});

test("what Firestore said over 60 s ago may update an entry but never create one", async () => {
  const late = { ...snapshot(2), asOfMs: Date.now() - 61_000 };
  expect(await store.apply("p1", late)).toBe("late");
  expect(await redis.exists(keys.quota("p1"))).toBe(0);
  await store.apply("p1", snapshot(1));
  expect(await store.apply("p1", late)).toBe("applied");
  expect(await store.read("p1")).toMatchObject({ quota: { used: 2 } });
});

test("a late update gives an entry no more time, one in time does", async () => {
  await store.apply("p1", snapshot(1));
  await redis.pexpire(keys.quota("p1"), 5000);
  expect(await store.apply("p1", { ...snapshot(2), asOfMs: Date.now() - 61_000 })).toBe("applied");
  const left = await redis.pttl(keys.quota("p1"));
  expect(left).toBeGreaterThan(0);
  expect(left).toBeLessThanOrEqual(5000);
  await store.apply("p1", { ...snapshot(3), asOfMs: Date.now() - 50_000 });
  expect(await redis.pttl(keys.quota("p1"))).toBeGreaterThan(TTL_SECONDS * 900 - 1000);
});

test("a tombstone lives for 108 s to 120 s, however long the TTL of a quota is", async () => {
  const ids = Array.from({ length: 30 }, (_, i) => `p${i}`);
  await Promise.all(ids.map((id) => store.apply(id, tombstone(1))));
  for (const ttlMs of await Promise.all(ids.map((id) => redis.pttl(keys.quota(id))))) {
    expect(ttlMs).toBeGreaterThan(107_000);
    expect(ttlMs).toBeLessThanOrEqual(120_000);
  }
});

test("in whatever order, and however often, changes arrive, the newest remains", async () => {
  const change = fc.record({
    version: fc.integer({ min: 1, max: 6 }),
    how: fc.constantFrom("apply", "invalidate" as const),
  });
  // A version has one content in Firestore: every third version is a deletion.
  const contentOf = (version: number) => (version % 3 === 0 ? tombstone(version) : snapshot(version));
  await fc.assert(
    fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 12 }), async (changes) => {
      const id = uniquePrefix();
      for (const { version, how } of changes) await store[how](id, contentOf(version));
      const newest = Math.max(...changes.map(({ version }) => version));
      const applied = changes.some(({ version, how }) => version === newest && how === "apply");
      const expected = !applied
        ? { kind: "miss", hasUnsynced: false }
        : newest % 3 === 0
          ? { kind: "tombstone", used: 0 }
          : { kind: "snapshot", quota: { used: newest, limit: 100 } };
      expect(await store.read(id)).toEqual(expected);
      expect(await redis.pttl(keys.quota(id))).toBeGreaterThan(0);
    }),
    { numRuns: 200 },
  );
});

test.each(["a{b}c", "}{", "line\nbreak", "space and ü", "q:x:y"])(
  "a provider may be called %j",
  async (id) => {
    await store.apply(id, snapshot(1));
    expect(await store.read(id)).toMatchObject({ kind: "snapshot" });
    expect(await redis.exists(keys.quota(id))).toBe(1);
  },
);

test("a sample is of entries, not of what else is called like them, and tells their versions and stranded usage", async () => {
  const bucket = keys.quota("p1").split(":q:")[0]!;
  await redis.mset(`${bucket}:k:2:p1:consume::q:x`, "0:10", `${bucket}:r:policy:shape:}:q:x`, "x".repeat(32));
  await redis.set(keys.quota("foreign"), "no entry");
  await store.apply("p1", snapshot(1));
  await store.apply("p2", tombstone(2));
  await store.invalidate("p3", snapshot(3));
  await store.apply("p4", snapshot(4));
  await store.apply("p5", snapshot(5));
  await store.consume({ providerId: "p4", cost: 1 });
  await store.consume({ providerId: "p5", cost: 1 });
  await redis.zrem(keys.dirty("p5"), "p5");
  const sample: unknown[] = [];
  // Other tests' keys make a walk longer than one sample; it is over when the cursor is at its beginning again.
  do sample.push(...(await store.sample(1000)).entries);
  while ((await redis.get(keys.sampleCursor())) !== "0");
  const versions = new Set(sample.map((entry) => JSON.stringify(entry)));
  expect([...versions].sort()).toEqual([
    JSON.stringify({ providerId: "p1", version: T0 + 1, isStranded: false }),
    JSON.stringify({ providerId: "p2", version: T0 + 2, isStranded: false }),
    JSON.stringify({ providerId: "p4", version: T0 + 4, isStranded: false }),
    JSON.stringify({ providerId: "p5", version: T0 + 5, isStranded: true }),
  ]);
});

test("keys of one bucket share a slot, and the bucket is the id's CRC16 modulo 16", () => {
  // The check value of CRC-16/XMODEM, as in appendix A of the Redis Cluster specification.
  expect(new Keys("p").quota("123456789")).toBe(`p:{${0x31c3 % 16}}:q:123456789`);
});

test("a full server still takes changes of what it holds, and refuses what is new", async () => {
  const server = await startRedis();
  const direct = connectRedis(server.port);
  const full = connectPatiently(server.port);
  const fullStore = new RedisQuotaStore(full, keys, { ttlSeconds: TTL_SECONDS, missingLimit: 100 });
  try {
    for (const id of ["updated", "invalidated", "deleted"]) await fullStore.apply(id, snapshot(1));
    await fullStore.apply("consumed", snapshot(1));
    await fullStore.consume({ providerId: "consumed", cost: 3 });
    await direct.config("SET", "maxmemory", "1");
    expect(await fullStore.apply("updated", snapshot(2))).toBe("applied");
    expect(await fullStore.invalidate("invalidated", snapshot(2))).toBe("applied");
    expect(await fullStore.apply("deleted", tombstone(2))).toBe("applied");
    expect(await fullStore.read("updated")).toMatchObject({ quota: { used: 2 } });
    expect(await fullStore.read("invalidated")).toMatchObject({ kind: "miss" });
    expect(await fullStore.read("deleted")).toEqual({ kind: "tombstone", used: 0 });
    for (const id of ["updated", "invalidated", "deleted"])
      expect(await direct.pttl(keys.quota(id))).toBeGreaterThan(0);

    for (const refused of [
      fullStore.apply("new", snapshot(1)),
      fullStore.consume({ providerId: "updated", cost: 1 }),
    ]) {
      const error: unknown = await refused.catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(RedisUnavailableError);
      expect(error).toMatchObject({ outcome: "not-executed", message: expect.stringContaining("OOM") });
    }
    expect(await fullStore.read("updated")).toMatchObject({ quota: { used: 2 } });
    expect(await fullStore.beginFlushes(["consumed"])).toMatchObject([{ amount: 3 }]);
    expect(await fullStore.read("consumed")).toMatchObject({ quota: { used: 4 } });
  } finally {
    full.close();
    direct.disconnect();
    await server.stop();
  }
});

describe("a call", () => {
  const consume = (cost = 1, idempotencyKey?: string) =>
    store.consume({ providerId: "p1", cost, idempotencyKey });
  const entry = () => storedQuota(redis, keys.quota("p1"));
  const dirtySince = () => redis.zscore(keys.dirty("p1"), "p1");
  const keyCount = async () => (await redis.keys(`${keys.quota("p1").split(":")[0]}:*`)).length;

  test("of a provider that Redis does not know is a miss, as is one of an invalidated entry", async () => {
    expect(await consume()).toMatchObject({ kind: "miss" });
    expect(await keyCount()).toBe(0);
    await store.invalidate("p1", snapshot(1));
    expect(await consume()).toMatchObject({ kind: "miss" });
  });

  test("within the limit is counted, and one above it leaves everything as it was", async () => {
    await store.apply("p1", snapshot(1, 7, 10));
    expect(await consume(4)).toMatchObject({ kind: "refused", used: 7, limit: 10, found: true });
    expect(await entry()).toEqual(clean({ used: 7, limit: 10, version: T0 + 1 }));
    expect(await redis.pttl(keys.quota("p1"))).toBeGreaterThan(0);
    expect(await dirtySince()).toBeNull();
    expect(await consume(3)).toMatchObject({ kind: "accepted", used: 10, limit: 10, found: true });
    expect(await consume()).toMatchObject({ kind: "refused", used: 10, limit: 10, found: true });
    expect(await store.read("p1")).toEqual({ kind: "snapshot", quota: { used: 10, limit: 10 } });
    expect(await entry()).toMatchObject({ used: 7, pending: 3, inFlight: 0 });
  });

  test("of any number at once is accepted exactly as often as the limit allows", async () => {
    await store.apply("p1", snapshot(1, 0, 150));
    const outcomes = await Promise.all(Array.from({ length: 400 }, () => consume()));
    const used = outcomes.flatMap((outcome) => (outcome.kind === "accepted" ? outcome.used : []));
    expect(used.sort((left, right) => left - right)).toEqual(Array.from({ length: 150 }, (_, i) => i + 1));
  });

  test("makes its entry dirty since then and keeps it from expiring, until Firestore has it", async () => {
    await store.apply("p1", snapshot(1, 7, 10));
    const before = await store.nowMs(keys.quota("p1"));
    await consume(1);
    const since = Number(await dirtySince());
    expect(since).toBeGreaterThanOrEqual(before);
    expect(since).toBeLessThanOrEqual(await store.nowMs(keys.quota("p1")));
    await consume(1);
    expect(Number(await dirtySince())).toBe(since);
    expect(await redis.pttl(keys.quota("p1"))).toBe(-1);
    expect(await store.hasDirtyProviders()).toBe(true);

    const [flush] = await store.beginFlushes(["p1"]);
    expect(flush).toMatchObject({ providerId: "p1", amount: 2, base: { used: 7, limit: 10 } });
    expect(await entry()).toMatchObject({ used: 7, pending: 0, inFlight: 2, flushId: flush!.flushId });
    expect(await redis.pttl(keys.quota("p1"))).toBe(-1);
    expect(await store.read("p1")).toMatchObject({ quota: { used: 9 } });

    await store.apply("p1", { ...snapshot(2, 9, 10), marker: flush!.flushId });
    expect(await entry()).toEqual(clean({ used: 9, limit: 10, version: T0 + 2, flushId: flush!.flushId }));
    expect(await redis.pttl(keys.quota("p1"))).toBeGreaterThan(TTL_SECONDS * 900 - 1000);
    expect(await dirtySince()).toBeNull();
    expect(await store.hasDirtyProviders()).toBe(false);
  });

  test("during a flush stays pending when that ends, since no later than it", async () => {
    await store.apply("p1", snapshot(1, 0, 10));
    await consume(2);
    const [flush] = await store.beginFlushes(["p1"]);
    await consume(3);
    expect(await store.beginFlushes(["p1"])).toEqual([flush]);
    // A change that does not contain the flush leaves it under way.
    await store.apply("p1", snapshot(2, 1, 10));
    expect(await store.read("p1")).toMatchObject({ quota: { used: 6 } });
    await store.apply("p1", { ...snapshot(3, 3, 10), marker: flush!.flushId });
    expect(await store.read("p1")).toMatchObject({ quota: { used: 6 } });
    expect(await entry()).toMatchObject({ used: 3, pending: 3, inFlight: 0 });
    expect(await redis.pttl(keys.quota("p1"))).toBe(-1);
    expect(Number(await dirtySince())).toBe(Math.floor(flush!.flushId / 1000));
    const [next] = await store.beginFlushes(["p1"]);
    expect(next).toMatchObject({ amount: 3 });
    expect(next!.flushId).toBeGreaterThan(flush!.flushId);
  });

  test("is refunded for no more than has been used", async () => {
    await store.apply("p1", snapshot(1, 2, 10));
    await consume(1);
    expect(await consume(-2)).toMatchObject({ kind: "accepted", used: 1, limit: 10, found: true });
    expect(await consume(-5)).toMatchObject({ kind: "accepted", used: 0, limit: 10, found: true });
    expect(await consume(-5)).toMatchObject({ kind: "accepted", used: 0, limit: 10, found: true });
    expect(await store.read("p1")).toMatchObject({ quota: { used: 0 } });
    expect(await store.beginFlushes(["p1"])).toMatchObject([{ amount: -2 }]);
  });

  test("that is refunded whole leaves nothing to flush, and its entry gets its TTL back", async () => {
    await store.apply("p1", snapshot(1, 2, 10));
    await consume(1);
    await consume(-1);
    expect(await store.beginFlushes(["p1"])).toEqual([]);
    expect(await redis.pttl(keys.quota("p1"))).toBeGreaterThan(0);
    expect(await dirtySince()).toBeNull();
  });

  test("that is repeated with its key has the first answer, and is counted once", async () => {
    await store.apply("p1", snapshot(1, 0, 10));
    const first = await consume(2, "k1");
    expect(first).toMatchObject({ kind: "accepted", used: 2, limit: 10, found: true });
    await consume(1, "k2");
    await store.apply("p1", snapshot(2, 5, 10));
    const replay = { ...first, replayed: true };
    expect(await consume(2, "k1")).toEqual(replay);
    expect(await Promise.all([consume(2, "k1"), consume(2, "k1")])).toEqual([replay, replay]);
    expect(await store.read("p1")).toMatchObject({ quota: { used: 8 } });
    const anew = await Promise.all([consume(2, "k3"), consume(2, "k3")]);
    expect(anew).toEqual([
      { ...first, used: 10 },
      { ...replay, used: 10 },
    ]);
    expect(await consume(-2)).toMatchObject({ used: 8 });
    // The refund of a call may have the call's key.
    expect(await consume(-2, "k1")).toMatchObject({ kind: "accepted", used: 6 });
    expect(await consume(-2, "k1")).toMatchObject({ kind: "accepted", used: 6 });
    expect(await store.read("p1")).toMatchObject({ quota: { used: 6 } });
    const records = await redis.keys(`${keys.quota("p1").split(":")[0]}:*:k:*`);
    expect(records).toHaveLength(4);
    for (const record of records) {
      const ttlMs = await redis.pttl(record);
      expect(ttlMs).toBeGreaterThan(CALL_RECORD_TTL_MS - 60_000);
      expect(ttlMs).toBeLessThanOrEqual(CALL_RECORD_TTL_MS);
    }
  });

  test("that comes with a key counts alike in a batch with others, whatever their keys have consumed", async () => {
    await store.apply("p1", snapshot(1, 0, 100));
    await consume(5, "known");
    const outcomes = await Promise.all([
      consume(1),
      consume(4, "known"),
      consume(-6, "known"),
      consume(-1, "unknown"),
      consume(-3, "known"),
      consume(2, "new"),
      consume(-2, "new"),
      consume(1),
    ]);
    expect(outcomes).toMatchObject([
      { kind: "accepted", used: 6, replayed: false },
      { kind: "key-reused", recordedCost: 5 },
      { kind: "key-reused", recordedCost: 5 },
      { kind: "refused", used: 6, limit: 100, found: true, replayed: false },
      { kind: "accepted", used: 3 },
      { kind: "accepted", used: 5 },
      { kind: "accepted", used: 3 },
      { kind: "accepted", used: 4 },
    ]);
    expect(await store.read("p1")).toMatchObject({ quota: { used: 4 } });
  });

  test("that is refused, or a miss, leaves no record of its key, and is decided anew", async () => {
    expect(await consume(2, "k1")).toMatchObject({ kind: "miss" });
    expect(await keyCount()).toBe(0);
    await store.apply("p1", snapshot(1, 9, 10));
    expect(await consume(2, "k1")).toMatchObject({ kind: "refused" });
    expect(await keyCount()).toBe(1);
    await store.apply("p1", snapshot(2, 9, 20));
    expect(await consume(2, "k1")).toMatchObject({ kind: "accepted", used: 11, limit: 20, found: true });
  });

  test("of a provider without a document is decided by the default limit, or refused where there is none", async () => {
    await store.apply("p1", tombstone(1));
    const strict = new RedisQuotaStore(connection, keys, {
      ttlSeconds: TTL_SECONDS,
      missingLimit: undefined,
    });
    expect(await strict.consume({ providerId: "p1", cost: 1 })).toMatchObject({
      kind: "refused",
      used: 0,
      limit: 0,
      found: false,
    });
    expect(await entry()).toEqual(clean({ used: 0, limit: NO_DOCUMENT, version: T0 + 1 }));
    expect(await consume(100)).toMatchObject({ kind: "accepted", used: 100, limit: 100, found: false });
    expect(await consume(1)).toMatchObject({ kind: "refused", used: 100, limit: 100, found: false });
    expect(await store.read("p1")).toEqual({ kind: "tombstone", used: 100 });
    expect(await store.beginFlushes(["p1"])).toMatchObject([{ amount: 100, base: "none" }]);
  });

  test("that finds a key which is no entry is a miss, and so is a read; those sent with it are not concerned", async () => {
    const ids = Array.from({ length: 40 }, (_, i) => `p${i}`);
    await Promise.all(ids.map((id) => store.apply(id, snapshot(1, 0, 10))));
    await redis.set(keys.quota("p7"), "no entry");
    await redis.del(keys.quota("p8"));
    await redis.hset(keys.quota("p8"), "u", 1);
    const outcomes = await Promise.all(ids.map((providerId) => store.consume({ providerId, cost: 1 })));
    const entries = await Promise.all(ids.map((id) => store.read(id)));
    ids.forEach((id, i) => {
      const isBad = id === "p7" || id === "p8";
      expect(outcomes[i]).toMatchObject(isBad ? { kind: "miss" } : { kind: "accepted", used: 1 });
      expect(entries[i]).toMatchObject(isBad ? { kind: "miss" } : { quota: { used: 1, limit: 10 } });
    });
    expect(await redis.get(keys.quota("p7"))).toBe("no entry");
    expect(await redis.hgetall(keys.quota("p8"))).toEqual({ u: "1" });
  });
});

test("a remembered answer keeps every digit", async () => {
  await store.apply("p1", snapshot(1, 123_456_789_012_345, 999_999_999_999_999));
  const call = { providerId: "p1", cost: 1, idempotencyKey: "k" };
  const first = await store.consume(call);
  expect(first).toMatchObject({ kind: "accepted", used: 123_456_789_012_346, limit: 999_999_999_999_999 });
  expect(await store.consume(call)).toEqual({ ...first, replayed: true });
});
