import { setTimeout as sleep } from "node:timers/promises";

import { QuotaMirror, type ProviderChange } from "../../functions/src/quota/quota-mirror";
import { RedisQuotaStore } from "../../functions/src/quota/redis-quota-store";
import { RedisConnection } from "../../functions/src/redis/connection";
import { Keys } from "../../functions/src/redis/keys";
import { startRedis, type RedisServer } from "../../scripts/redis-server.mjs";
import { recordLogs } from "../harness/recorded-logs.ts";
import { uniquePrefix } from "../harness/test-redis.ts";

const OUTAGE_MS = 2000;

let server: RedisServer;
let connection: RedisConnection;
let store: RedisQuotaStore;
let mirror: QuotaMirror;

beforeEach(async () => {
  server = await startRedis();
  const { logs, metrics } = recordLogs();
  connection = new RedisConnection({ host: "127.0.0.1", port: server.port, timeoutMs: 600 }, logs);
  store = new RedisQuotaStore(connection, new Keys(uniquePrefix()), { ttlSeconds: 300, missingLimit: 100 });
  const fields = { usedField: "aiCallsUsed", limitField: "aiCallsLimit", defaultLimit: 100 };
  mirror = new QuotaMirror(store, { ...fields, onChange: "update" }, logs, metrics);
});

afterEach(async () => {
  connection.close();
  await server.stop();
});

/** A change as an event tells of it: the document has been used so often. */
const change = (aiCallsUsed: number): ProviderChange => ({
  providerId: "p1",
  path: "providers/p1",
  data: { aiCallsUsed, aiCallsLimit: 50 },
  version: Date.now() * 1000 + aiCallsUsed,
  created: 1,
  asOfMs: Date.now(),
});

test.each([
  ["is killed and comes back empty", "SIGKILL"],
  ["hangs and goes on", "SIGSTOP"],
] as const)("the one event that arrives while Redis %s is applied when it is back", async (_, signal) => {
  expect(await mirror.mirror(change(1))).toBe("applied");
  await server.kill(signal);
  const mirrored = mirror.mirror(change(2));
  let isDone = false;
  void mirrored.finally(() => (isDone = true)).catch(() => {});
  await sleep(OUTAGE_MS);
  expect(isDone).toBe(false);
  if (signal === "SIGKILL") await server.restart();
  else await server.kill("SIGCONT");

  // The server that hung has applied the change when its first attempt, which it had been sent, was answered too late.
  expect(["applied", "superseded"]).toContain(await mirrored);
  expect(await store.read("p1")).toEqual({ kind: "snapshot", quota: { used: 2, limit: 50 } });
});

test("events that arrive while Redis is away are applied by their versions, in whatever order they are retried", async () => {
  await mirror.mirror(change(1));
  await server.kill("SIGKILL");
  const changes = [2, 3, 4, 5].map(change);
  const mirrored = Promise.all([...changes].reverse().map((each) => mirror.mirror(each)));
  await sleep(OUTAGE_MS);
  await server.restart();
  await mirrored;
  expect(await store.read("p1")).toEqual({ kind: "snapshot", quota: { used: 5, limit: 50 } });
});
