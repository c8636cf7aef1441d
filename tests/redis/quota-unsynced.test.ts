import { toVersion } from "../../functions/src/firestore";
import { IdempotencyKeyReusedError } from "../../functions/src/quota/call-records";
import type { QuotaMode } from "../../functions/src/quota/quota-service";
import type { RedisConnection } from "../../functions/src/redis/connection";
import { startTarget, type FirestoreTarget } from "../emulator-firestore/firestore-target.ts";
import { connectPatiently } from "../harness/patience.ts";
import { assembleQuotaParts, type QuotaPartsOptions } from "../harness/quota-parts.ts";
import { testRedisPort } from "../harness/test-redis.ts";
import { waitFor } from "../harness/wait-for.ts";

let target: FirestoreTarget;
let redis: RedisConnection;
beforeAll(async () => {
  target = await startTarget();
  redis = connectPatiently(testRedisPort());
});
afterAll(async () => {
  redis.close();
  await target.stop();
});

/** The provider p1 with this limit, in redis-primary. */
async function prepare(limit: number, options: Partial<QuotaPartsOptions> = {}) {
  const assemble = (more: Partial<QuotaPartsOptions>) =>
    assembleQuotaParts({ firestore: target.db, redis, mode: "redis-primary", ...options, ...more });
  const { collection, keys, mirror, ...parts } = assemble({});
  const document = collection.doc("p1");
  await document.set({ aiCallsUsed: 0, aiCallsLimit: limit });
  return {
    ...parts,
    document,
    /** Another instance of the same functions. */
    otherInstance: (more: Partial<QuotaPartsOptions>) => assemble({ beside: { collection, keys }, ...more }),
    deliverEvent: async () => {
      const current = await document.get();
      const [version, created] = [toVersion(current.updateTime!), toVersion(current.createTime!)];
      const change = { providerId: "p1", path: document.path, data: current.data(), version, created };
      await mirror.mirror({ ...change, asOfMs: Date.now() });
    },
  };
}

test("a check of an invalidated entry includes the usage that Firestore does not have yet", async () => {
  const { service, document, deliverEvent } = await prepare(5, { onChange: "invalidate" });
  await service.consume("p1", { cost: 5 });
  await document.update({ name: "Ada" });
  await deliverEvent();
  const none = { hasQuota: false, used: 5, limit: 5, remaining: 0, found: true };
  expect(await service.check("p1")).toEqual({ ...none, source: "firestore" });
  expect(await service.check("p1")).toEqual({ ...none, source: "redis" });
});

test.each<QuotaMode>(["dual-write", "firestore"])(
  "after a change from redis-primary to %s the first answers include what a sync has left in flight",
  async (mode) => {
    const { service, redisStore, otherInstance } = await prepare(3);
    await service.consume("p1");
    // What a sync that dies right after its start has done.
    await redisStore.beginFlushes(["p1"]);
    await service.consume("p1", { cost: 2 });
    const none = { hasQuota: false, used: 3, limit: 3, remaining: 0 };
    expect(await otherInstance({ mode }).service.check("p1")).toMatchObject(none);
    expect(await otherInstance({ mode }).service.consume("p1")).toMatchObject({ allowed: false, ...none });
  },
);

test.each<[QuotaMode, QuotaMode]>([
  ["redis-primary", "dual-write"],
  ["redis-primary", "firestore"],
  ["firestore", "redis-primary"],
])(
  "after a change from %s to %s a refund by key takes back what the key has consumed, once",
  async (from, to) => {
    const { otherInstance } = await prepare(100);
    const [before, after] = [from, to].map((mode) => otherInstance({ mode }).service);
    const [call, refunded] = ["call", "refunded"].map((idempotencyKey) => ({ cost: 3, idempotencyKey }));
    for (const each of [call, refunded]) await before!.consume("p1", each);
    await before!.refund("p1", refunded);
    for (let i = 0; i < 2; i++) {
      expect(await after!.refund("p1", refunded)).toMatchObject({ allowed: true, replayed: true });
      expect(await after!.refund("p1", call)).toMatchObject({ allowed: true, used: 0, replayed: i > 0 });
    }
    expect(await before!.refund("p1", call)).toMatchObject({ allowed: true, replayed: true });
    expect(await after!.check("p1")).toMatchObject({ used: 0 });
    await expect(after!.refund("p1", { ...call, cost: 4 })).rejects.toThrow(IdempotencyKeyReusedError);
  },
);

test("a read of Firestore that began before an invalidation does not fill the entry afterwards", async () => {
  const { service, firestoreStore, document } = await prepare(10);
  const read = firestoreStore.read.bind(firestoreStore);
  let release = () => {};
  const released = new Promise<void>((resolve) => (release = resolve));
  let hasRead = false;
  jest.spyOn(firestoreStore, "read").mockImplementationOnce(async (providerId) => {
    const snapshot = await read(providerId);
    hasRead = true;
    await released;
    return snapshot;
  });
  const early = service.check("p1");
  await waitFor(() => hasRead, { what: "the read" });
  await document.update({ aiCallsLimit: 5 });
  await service.invalidate("p1");
  release();
  expect(await early).toMatchObject({ limit: 10 });
  expect(await service.check("p1")).toMatchObject({ limit: 5, source: "firestore" });
});

test("from its deadline on a flush begins no new round", async () => {
  const { service, sync, redisStore, document } = await prepare(10);
  const used = async () => (await document.get()).get("aiCallsUsed") as unknown;
  await service.consume("p1");
  await redisStore.beginFlushes(["p1"]);
  await service.consume("p1", { cost: 2 });
  await sync.flush(["p1"], Date.now());
  expect(await used()).toBe(1);
  await sync.flush(["p1"]);
  expect(await used()).toBe(3);
});
