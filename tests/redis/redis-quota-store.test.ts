import fc from "fast-check";
import type { Redis } from "ioredis";

import type { QuotaSnapshot } from "../../functions/src/quota/quota";
import { RedisQuotaStore } from "../../functions/src/quota/redis-quota-store";
import { RedisConnection } from "../../functions/src/redis/connection";
import { Keys } from "../../functions/src/redis/keys";
import { recordLogs } from "../harness/recorded-logs.ts";
import { connectRedis, testRedisPort, uniquePrefix } from "../harness/test-redis.ts";

const TTL_SECONDS = 300;

let redis: Redis;
let connection: RedisConnection;
let keys: Keys;
let store: RedisQuotaStore;

beforeAll(() => {
  redis = connectRedis();
  connection = new RedisConnection(
    { host: "127.0.0.1", port: testRedisPort(), timeoutMs: 2000 },
    recordLogs().logs,
  );
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
  expect(await store.read("p1")).toEqual({ kind: "miss" });
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
  expect(await store.read("p1")).toEqual({ kind: "miss" });
  expect(await store.apply("p1", snapshot(2))).toBe("superseded");
  expect(await store.read("p1")).toEqual({ kind: "miss" });
  expect(await store.apply("p1", snapshot(3))).toBe("applied");
  expect(await store.read("p1")).toMatchObject({ quota: { used: 3 } });
  expect(await store.invalidate("p1", snapshot(3))).toBe("superseded");
});

test("an invalidation keeps older snapshots out even where there was no entry", async () => {
  await store.invalidate("p1", snapshot(2));
  expect(await store.apply("p1", snapshot(1))).toBe("superseded");
  expect(await store.read("p1")).toEqual({ kind: "miss" });
});

test("what Firestore said over 60 s ago may update an entry but never create one", async () => {
  const late = { ...snapshot(2), asOfMs: Date.now() - 61_000 };
  expect(await store.apply("p1", late)).toBe("late");
  expect(await redis.exists(keys.quota("p1"))).toBe(0);
  await store.apply("p1", snapshot(1));
  expect(await store.apply("p1", late)).toBe("applied");
  expect(await store.read("p1")).toMatchObject({ quota: { used: 2 } });
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
        ? { kind: "miss" }
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

test("keys of one bucket share a slot, and the bucket is the id's CRC16 modulo 16", () => {
  // The check value of CRC-16/XMODEM, as in appendix A of the Redis Cluster specification.
  expect(new Keys("p").quota("123456789")).toBe(`p:{${0x31c3 % 16}}:q:123456789`);
});
