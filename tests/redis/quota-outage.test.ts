import { CallControls } from "../../emulator/firestore/controls.ts";
import { FirestoreUnavailableError } from "../../functions/src/firestore";
import { RedisConnection } from "../../functions/src/redis/connection";
import { startTarget, type FirestoreTarget } from "../emulator-firestore/firestore-target.ts";
import { startFaultProxy, type FaultProxy } from "../harness/fault-proxy.ts";
import { assembleQuotaParts, type QuotaPartsOptions } from "../harness/quota-parts.ts";
import { recordLogs } from "../harness/recorded-logs.ts";
import { connectRedis, testRedisPort } from "../harness/test-redis.ts";

/** Long beside what the stores take when they are well. */
const TIMEOUT_MS = 1500;

let target: FirestoreTarget;
beforeAll(async () => {
  target = await startTarget();
});
afterAll(() => target.stop());

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** The provider p1 with a limit of 10, through a proxy before Redis; all connections are there already. */
async function prepare(options: Partial<QuotaPartsOptions>) {
  const proxy = await startFaultProxy(testRedisPort());
  const redis = new RedisConnection(
    { host: "127.0.0.1", port: proxy.port, timeoutMs: TIMEOUT_MS },
    recordLogs().logs,
  );
  closing.push(
    () => proxy.close(),
    () => redis.close(),
  );
  const { service, collection, keys, sync } = assembleQuotaParts({
    firestore: target.db,
    redis,
    ...options,
  });
  const document = collection.doc("p1");
  await document.set({ aiCallsUsed: 0, aiCallsLimit: 10 });
  await redis.run((client) => client.ping());
  const used = async () => (await document.get()).get("aiCallsUsed") as unknown;
  return { proxy, service, used, keys, sync };
}

async function durationMs(work: () => Promise<unknown>): Promise<number> {
  const startMs = performance.now();
  await work();
  return performance.now() - startMs;
}

/** Stops what is asked of Redis from its n-th script on. */
function stallFromScript(proxy: FaultProxy, nth: number): void {
  let scripts = 0;
  proxy.set({
    requests(data) {
      if (/\bevalsha\b/i.test(data.toString())) scripts++;
      return scripts >= nth ? "stall" : "pass";
    },
  });
}

test("in dual-write a consumption waits for Redis no more than once", async () => {
  const { proxy, service, used } = await prepare({ mode: "dual-write" });
  await service.consume("p1");
  stallFromScript(proxy, 1);
  const tookMs = await durationMs(() => service.consume("p1"));
  expect(tookMs).toBeGreaterThan(TIMEOUT_MS * 0.9);
  expect(tookMs).toBeLessThan(TIMEOUT_MS * 1.8);
  expect(await used()).toBe(2);
});

test("in redis-primary Firestore decides a call that Redis did not know and cannot be told of, after one wait", async () => {
  const { proxy, service, used } = await prepare({ mode: "redis-primary" });
  await service.consume("p2");
  // The first script finds no entry, the second is to make one.
  stallFromScript(proxy, 2);
  let answer: unknown;
  const tookMs = await durationMs(async () => (answer = await service.consume("p1")));
  expect(answer).toMatchObject({ allowed: true, used: 1, source: "firestore" });
  expect(tookMs).toBeLessThan(TIMEOUT_MS * 1.8);
  expect(await used()).toBe(1);
});

test("what a caller was told was not counted is not counted afterwards either", async () => {
  const { service, used } = await prepare({ mode: "dual-write", firestoreTimeoutMs: 300 });
  await service.consume("p1");
  const calls = new CallControls(target.address);
  closing.push(() => calls.clear());
  await calls.set({ delayMs: 600, methods: ["BatchGetDocuments"] });
  await expect(service.consume("p1")).rejects.toThrow(FirestoreUnavailableError);
  await new Promise((resolve) => setTimeout(resolve, 600));
  await calls.clear();
  expect(await used()).toBe(1);
});

test("usage that is in no index, as if that was evicted, is found by the comparison after a sync", async () => {
  const { service, used, keys, sync } = await prepare({ mode: "redis-primary" });
  await service.consume("p1", { cost: 3 });
  const direct = connectRedis();
  closing.push(() => direct.disconnect());
  await direct.del(keys.dirty("p1"));
  await service.consume("p1", { cost: 2 });
  await sync.flushAll({ deadlineMs: Date.now() + 10_000 });
  expect(await used()).toBe(0);
  while ((await used()) === 0) await sync.reconcile(1000);
  expect(await used()).toBe(5);
});
