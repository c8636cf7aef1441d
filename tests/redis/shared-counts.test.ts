import type { Redis } from "ioredis";

import { parseServiceConfig } from "../../functions/src/config/config";
import { createLogs } from "../../functions/src/observability/logs";
import { Counters } from "../../functions/src/observability/counters";
import { Metrics } from "../../functions/src/observability/metrics";
import { RedisConnection } from "../../functions/src/redis/connection";
import { Keys } from "../../functions/src/redis/keys";
import { SharedCounts } from "../../functions/src/redis/shared-counts";
import { createServices } from "../../functions/src/services";
import { freePorts } from "../../scripts/free-ports.mjs";
import { startRedis } from "../../scripts/redis-server.mjs";
import { connectPatiently } from "../harness/patience.ts";
import { recordLogs } from "../harness/recorded-logs.ts";
import { connectRedis, testRedisPort, uniquePrefix } from "../harness/test-redis.ts";
import { waitFor } from "../harness/wait-for.ts";

const HOUR_MS = 60 * 60 * 1000;

let redis: Redis;
let opened: RedisConnection[];
let keys: Keys;
let clock: { nowMs: number };

beforeAll(() => {
  redis = connectRedis();
});

beforeEach(() => {
  opened = [];
  keys = new Keys(uniquePrefix());
  clock = { nowMs: 500_000 * HOUR_MS };
});

afterEach(closeConnections);

afterAll(() => {
  redis.disconnect();
});

function closeConnections(): void {
  for (const connection of opened) connection.close();
}

/** What a process shares its counts by, each with a connection of its own. */
function sharedCounts(port = testRedisPort()): SharedCounts {
  const connection = connectPatiently(port);
  opened.push(connection);
  return new SharedCounts(connection, keys, () => clock.nowMs);
}

function counted(count: (counters: Counters) => void): Counters {
  const counters = new Counters();
  count(counters);
  return counters;
}

const hits = (n: number) => counted((counters) => (counters.hits = n));

const hitsArrive = (counts: SharedCounts, n: number) =>
  waitFor(async () => (await counts.recentIfKnown())?.hits === n, { what: `${n} hits` });

test("what several processes have counted adds up, with the mean and the maximum of all lags", async () => {
  const [one, other] = [sharedCounts(), sharedCounts()];
  one.add(
    counted((counters) => {
      counters.hits = 3;
      counters.circuitOpened = 1;
      counters.addLag(100);
      counters.addLag(600);
      counters.addDecisions("ai-chat", "redis", 2, 1);
    }),
  );
  await hitsArrive(other, 3);
  other.add(
    counted((counters) => {
      counters.hits = 4;
      counters.misses = 1;
      counters.fallbacks = 2;
      counters.circuitClosed = 1;
      counters.addLag(200);
      counters.addDecisions("ai-chat", "redis", 1, 0);
      counters.addDecisions("ai-chat", "local", 0, 5);
      counters.addDecisions("login", "closed", 0, 1);
    }),
  );
  await hitsArrive(one, 7);
  expect(await one.recentIfKnown()).toEqual({
    sinceMs: clock.nowMs - HOUR_MS,
    hits: 7,
    misses: 1,
    fallbacks: 2,
    mirrored: 3,
    mirrorLagMeanMs: 300,
    mirrorLagMaxMs: 600,
    rateLimitAllowed: 3,
    rateLimitRefused: 7,
    rateLimitFallbacks: 6,
    circuitOpened: 1,
    circuitClosed: 1,
    decisions: {
      "ai-chat": { redis: { allowed: 3, refused: 1 }, local: { allowed: 0, refused: 5 } },
      login: { closed: { allowed: 0, refused: 1 } },
    },
  });
});

test("this hour and the one before are told of, and each hour is kept for a day", async () => {
  const counts = sharedCounts();
  counts.add(hits(1));
  await hitsArrive(counts, 1);
  expect(await redis.pttl(keys.counts(500_000))).toBeGreaterThan(23 * HOUR_MS);
  clock.nowMs += HOUR_MS;
  counts.add(hits(2));
  await hitsArrive(counts, 3);
  clock.nowMs += HOUR_MS;
  expect(await counts.recentIfKnown()).toMatchObject({ hits: 2, sinceMs: 500_001 * HOUR_MS });
  clock.nowMs += HOUR_MS;
  expect(await counts.recentIfKnown()).toMatchObject({ hits: 0 });
});

test("of too many policies those that come last are counted together", async () => {
  const counts = sharedCounts();
  counts.add(
    counted((counters) => {
      counters.hits = 1;
      for (let i = 0; i < 700; i++) counters.addDecisions(`p${i}`, "redis", 1, 1);
    }),
  );
  await hitsArrive(counts, 1);
  const recent = await counts.recentIfKnown();
  expect(recent).toMatchObject({ rateLimitAllowed: 700, rateLimitRefused: 700 });
  expect(recent!.decisions["p0"]).toEqual({ redis: { allowed: 1, refused: 1 } });
  expect(recent!.decisions["*"]!["redis"]!.allowed).toBeGreaterThan(100);
  expect(await redis.hlen(keys.counts(500_000))).toBeLessThan(1010);
});

test("what could not be sent while Redis was away is added with the next counts, once", async () => {
  const port = (await freePorts(1))[0]!;
  const counts = sharedCounts(port);
  counts.add(hits(5));
  expect(await counts.recentIfKnown()).toBeNull();
  const server = await startRedis({ port });
  try {
    await waitFor(async () => (await counts.recentIfKnown()) !== null, { what: "Redis to answer" });
    counts.add(hits(1));
    await hitsArrive(counts, 6);
    counts.add(hits(1));
    await hitsArrive(counts, 7);
  } finally {
    closeConnections();
    await server.stop();
  }
});

test("a process shares what each of its summaries has, and its calls do not send anything else", async () => {
  const counts = sharedCounts();
  const shared: Counters[] = [];
  const metrics = new Metrics(
    createLogs(() => {}),
    () => clock.nowMs,
    (summary) => {
      shared.push(summary);
      counts.add(summary);
    },
  );
  for (let i = 0; i < 10; i++) metrics.hit();
  await hitsArrive(counts, 1);
  expect(shared).toHaveLength(1);
  clock.nowMs += 60_000;
  metrics.miss();
  await hitsArrive(counts, 10);
  expect(await counts.recentIfKnown()).toMatchObject({ misses: 1 });
  expect(shared).toHaveLength(2);
});

test("two instances' services count together, and one that is closed sends nothing more", async () => {
  const policy = { name: "api", by: "ip", limits: [{ algorithm: "fixed-window", limit: 9, window: "1 m" }] };
  const config = parseServiceConfig({
    REDIS_HOST: "127.0.0.1",
    REDIS_PORT: String(testRedisPort()),
    REDIS_TIMEOUT_MS: "2000",
    KEY_PREFIX: uniquePrefix(),
    RATE_LIMIT_POLICIES: JSON.stringify([policy]),
  });
  const noFirestore = () => {
    throw new Error("Firestore is not to be asked.");
  };
  const services = [1, 2].map(() => createServices(config, noFirestore, recordLogs().logs));
  const [one, other] = services as [(typeof services)[0], (typeof services)[0]];
  const allowed = async () => (await other.sharedCounts.recentIfKnown())?.rateLimitAllowed;
  try {
    for (const { rateLimiter } of services) await rateLimiter.check("api", "10.0.0.1");
    await waitFor(async () => (await allowed()) === 2, { what: "the counts of both" });
    expect(other.metrics.counts()).toMatchObject({ rateLimitAllowed: 1 });
    one.close();
    one.sharedCounts.add(hits(1));
    expect(await one.sharedCounts.recentIfKnown()).toBeNull();
    expect(await other.sharedCounts.recentIfKnown()).toMatchObject({ hits: 0, rateLimitAllowed: 2 });
  } finally {
    for (const { close } of services) close();
  }
});
