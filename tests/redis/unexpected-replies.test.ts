import { createServer, type AddressInfo } from "node:net";

import { checkPolicies } from "../../functions/src/rate-limit/policy";
import { RedisRateLimitStore } from "../../functions/src/rate-limit/redis-rate-limit-store";
import { RedisCluster } from "../../functions/src/redis/cluster";
import { RedisConnection, RedisUnavailableError } from "../../functions/src/redis/connection";
import { Keys } from "../../functions/src/redis/keys";
import { RedisProbe } from "../../functions/src/redis/redis-probe";
import { SharedCounts } from "../../functions/src/redis/shared-counts";
import { RedisSessionStore } from "../../functions/src/session/redis-session-store";
import { startTarget, type FirestoreTarget } from "../emulator-firestore/firestore-target.ts";
import { PATIENT_MS } from "../harness/patience.ts";
import { assembleQuotaParts } from "../harness/quota-parts.ts";
import { recordLogs } from "../harness/recorded-logs.ts";
import { uniquePrefix } from "../harness/test-redis.ts";

let target: FirestoreTarget;
beforeAll(async () => {
  target = await startTarget();
});
afterAll(() => target.stop());

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const INFO = "# Server\r\nredis_version:7.0.15\r\n";
const bulk = (text: string) => `$${text.length}\r\n${text}\r\n`;

/** A server that replies the same to every command, and to INFO something else if that is given. */
async function serverThatReplies(reply: string, infoReply = reply): Promise<number> {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.on("data", (data) => {
      for (const [, name = ""] of data.toString().matchAll(/\*\d+\r\n\$\d+\r\n(\w+)\r\n/g))
        socket.write(name.toLowerCase() === "info" ? infoReply : reply);
    });
    closing.push(() => socket.destroy());
  }).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  closing.push(() => server.close());
  return (server.address() as AddressInfo).port;
}

function connectTo(port: number, Servers: typeof RedisConnection | typeof RedisCluster = RedisConnection) {
  const redis = new Servers({ host: "127.0.0.1", port, timeoutMs: PATIENT_MS }, recordLogs().logs);
  closing.push(() => redis.close());
  return redis;
}

test("a server that is no Redis is never asked for anything: Firestore decides", async () => {
  const redis = connectTo(await serverThatReplies("+OK\r\n"));
  const { service, collection } = assembleQuotaParts({ firestore: target.db, redis, mode: "redis-primary" });
  await collection.doc("p1").set({ aiCallsUsed: 1, aiCallsLimit: 10 });
  expect(await service.check("p1")).toMatchObject({ used: 1, source: "firestore" });
  expect(await service.consume("p1")).toMatchObject({ used: 2, source: "firestore" });
  const error = await redis.runFor("key", (client) => client.get("key")).catch((reason: unknown) => reason);
  expect(error).toMatchObject({
    name: "RedisUnavailableError",
    outcome: "not-executed",
    message: expect.stringContaining("is there a Redis server at this address?") as string,
  });
});

/** Every use of Redis, each with a name. */
function usesOf(redis: RedisConnection): Record<string, () => Promise<unknown>> {
  const { redisStore } = assembleQuotaParts({ firestore: target.db, redis });
  const keys = new Keys(uniquePrefix());
  const sessions = new RedisSessionStore(redis, keys, { ttlSeconds: 60 }, recordLogs().logs);
  const rateLimits = new RedisRateLimitStore(redis, keys);
  const limit = { algorithm: "fixed-window", limit: 1, window: "1 d" } as const;
  const [one, two] = checkPolicies([
    { name: "one", by: "uid", limits: [limit] },
    { name: "two", by: "uid", limits: [limit, { ...limit, window: "2 d" }] },
  ]);
  const request = { cost: 1, peek: false };
  const probe = new RedisProbe(redis);
  const snapshot = { quota: { used: 1, limit: 2 }, version: 1, asOfMs: 1, marker: 0, created: 0 };
  const data = { a: 1 };
  const dirty = redisStore.dirtyKeys()[0]!;
  return {
    "quota read": () => redisStore.read("p"),
    "quota consume": () => redisStore.consume({ providerId: "p", cost: 1, idempotencyKey: undefined }),
    "quota apply": () => redisStore.apply("p", snapshot),
    "quota flush": () => redisStore.beginFlushes(["p"]),
    "dirty providers": () => redisStore.dirtyProviders(dirty, { untilMs: 1, offset: 0, count: 1 }),
    "quota sample": () => redisStore.sample(10),
    "last backfill": () => redisStore.lastBackfill(),
    "dirty indexes": () => redisStore.hasDirtyProviders(),
    "dirty count": () => redisStore.dirty(),
    inspect: () => redisStore.inspect("p"),
    time: () => redisStore.nowMs(dirty),
    "session read": () => sessions.read("s"),
    "session write": () => sessions.write("s", data, 1000),
    "session touch": () => sessions.touch("s", 1000),
    "session apply": () => sessions.apply("s", { state: "absent", version: 1, asOfMs: 1 }, "call"),
    "session destroy": () => sessions.destroy("s"),
    "one limit": () => rateLimits.take(one!.limits, "a", request),
    "several limits": () => rateLimits.take(two!.limits, "a", request),
    reset: () => rateLimits.reset(one!.limits, "a"),
    block: () => rateLimits.block(one!.limits, "a", 1),
    ping: () => probe.pingMs(),
    clock: () => probe.clockAheadMs(),
    "seen from": () => probe.seenFrom(),
    Lua: () => probe.runLua(keys),
  };
}

test("a reply of the wrong type leaves every use with an unknown outcome", async () => {
  const uses = usesOf(connectTo(await serverThatReplies("+OK\r\n", bulk(INFO))) as RedisConnection);
  for (const [name, use] of Object.entries(uses)) {
    // Any text may be a client's description.
    if (name === "seen from") continue;
    const error = await use().catch((reason: unknown) => reason);
    expect({ name, error }).toMatchObject({
      name,
      error: { name: "RedisUnavailableError", outcome: "unknown" },
    });
  }
});

test.each([
  ["an integer", ":7\r\n"],
  ["nil", "$-1\r\n"],
  ["bytes of another length", bulk("12345678")],
  ["an empty list", "*0\r\n"],
  ["a list of integers", "*3\r\n:1\r\n:2\r\n:3\r\n"],
  ["a list in a list", "*2\r\n*1\r\n:1\r\n*0\r\n"],
])("%s is taken for a reply, or Redis is unavailable; nothing else is thrown", async (_, reply) => {
  const uses = usesOf(connectTo(await serverThatReplies(reply, bulk(INFO))) as RedisConnection);
  const others: string[] = [];
  for (const [name, use] of Object.entries(uses))
    await use().catch((error: unknown) => {
      if (!(error instanceof RedisUnavailableError)) others.push(`${name}: ${String(error)}`);
    });
  expect(others).toEqual([]);
});

test("shared counts that are none are not known", async () => {
  const redis = connectTo(await serverThatReplies("+OK\r\n", bulk(INFO)));
  expect(await new SharedCounts(redis, new Keys("x")).recentIfKnown()).toBeNull();
});

test("a cluster whose slots are none is unavailable", async () => {
  const redis = connectTo(await serverThatReplies("+OK\r\n", bulk(INFO)), RedisCluster);
  const error = await redis.runFor("key", (client) => client.get("key")).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(RedisUnavailableError);
});
