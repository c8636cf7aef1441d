import type { Redis } from "ioredis";

import { LocalRateLimitStore } from "../../functions/src/rate-limit/local-rate-limit-store";
import type { Policy } from "../../functions/src/rate-limit/policy";
import {
  CostAboveLimitError,
  RateLimiter,
  UnknownPolicyError,
} from "../../functions/src/rate-limit/rate-limiter";
import { RedisRateLimitStore } from "../../functions/src/rate-limit/redis-rate-limit-store";
import { RedisConnection } from "../../functions/src/redis/connection";
import { Keys } from "../../functions/src/redis/keys";
import { FIXED_WINDOW_CASES } from "../cases/fixed-window.ts";
import { recordLogs } from "../harness/recorded-logs.ts";
import { connectRedis, testRedisPort, uniquePrefix } from "../harness/test-redis.ts";
import { waitFor } from "../harness/wait-for.ts";

let redis: Redis;
let connection: RedisConnection;
let keys: Keys;
let store: RedisRateLimitStore;

beforeAll(() => {
  redis = connectRedis();
  connection = new RedisConnection(
    { host: "127.0.0.1", port: testRedisPort(), timeoutMs: 2000 },
    recordLogs().logs,
  );
});

beforeEach(() => {
  keys = new Keys(uniquePrefix());
  store = new RedisRateLimitStore(connection, keys);
});

afterAll(() => {
  redis.disconnect();
  connection.close();
});

const policyOf = (...limits: [limit: number, windowMs: number][]): Policy => ({
  name: "p",
  by: "uid",
  onRedisFailure: "local",
  limits: limits.map(([limit, windowMs]) => ({ algorithm: "fixed-window", limit, windowMs })),
});
const request = { subject: "alice", cost: 1, peek: false };
const limiterOf = (policy: Policy) =>
  new RateLimiter([policy], store, new LocalRateLimitStore(), recordLogs().logs);

/** Time that may pass between two commands of a test. */
const SLACK_MS = 2000;

test.each(FIXED_WINDOW_CASES)(
  "$name",
  async ({ before, limit, windowMs, cost, peek = false, ...expected }) => {
    const key = keys.rateLimit("p", windowMs, "alice");
    if (before) await redis.set(key, before.count, "PX", before.endsInMs);
    const { allowed, nowMs, windows } = await store.take(policyOf([limit, windowMs]), {
      ...request,
      cost,
      peek,
    });
    const window = windows[0]!;
    expect({ allowed, count: window.count }).toEqual({ allowed: expected.allowed, count: expected.count });
    expect(window.endsAtMs - nowMs).toBeLessThanOrEqual(expected.endsInMs);
    expect(window.endsAtMs - nowMs).toBeGreaterThan(expected.endsInMs - SLACK_MS);
    expect(Number(await redis.get(key))).toBe(expected.count);
    expect(Math.abs((await redis.pttl(key)) - (expected.count > 0 ? expected.endsInMs : -2))).toBeLessThan(
      SLACK_MS,
    );
  },
);

test("of 200 requests at once exactly the limit is allowed, and each remaining count is dealt once", async () => {
  const limiter = limiterOf(policyOf([50, 60_000]));
  const policy = limiter.policy("p");
  const decisions = await Promise.all(Array.from({ length: 200 }, () => limiter.decide(policy, request)));
  const allowed = decisions.filter((decision) => decision.allowed);
  expect(allowed.map(({ remaining }) => remaining).sort((a, b) => b - a)).toEqual(
    Array.from({ length: 50 }, (_, i) => 49 - i),
  );
  const refused = decisions.filter((decision) => !decision.allowed);
  expect(refused).toHaveLength(150);
  for (const decision of refused) {
    expect(decision).toMatchObject({ reason: "limit-reached", source: "redis", remaining: 0, limit: 50 });
    expect(decision.retryAfterMs).toBeGreaterThan(60_000 - SLACK_MS);
    expect(decision.retryAfterMs).toBeLessThanOrEqual(60_000);
  }
});

test("a window ends on Redis's clock and a new one begins", async () => {
  const limiter = limiterOf(policyOf([1, 100]));
  const policy = limiter.policy("p");
  expect((await limiter.decide(policy, request)).allowed).toBe(true);
  const [seconds] = await redis.time();
  const { resetAtMs } = await limiter.decide(policy, { ...request, peek: true });
  expect(Math.abs(resetAtMs - Number(seconds) * 1000)).toBeLessThan(SLACK_MS);
  await waitFor(async () => (await limiter.decide(policy, request)).allowed, { what: "the next window" });
});

test("several limits are taken all or none, and the one that lasts longest tells when to retry", async () => {
  const limiter = limiterOf(policyOf([2, 10_000], [3, 60_000]));
  const policy = limiter.policy("p");
  await limiter.decide(policy, { ...request, cost: 2 });
  expect(await limiter.decide(policy, request)).toMatchObject({ allowed: false, limit: 2, remaining: 0 });
  expect(await redis.get(keys.rateLimit("p", 60_000, "alice"))).toBe("2");
  await redis.del(keys.rateLimit("p", 10_000, "alice"));
  expect(await limiter.decide(policy, request)).toMatchObject({ allowed: true, limit: 3, remaining: 0 });
  const refused = await limiter.decide(policy, { ...request, cost: 2 });
  expect(refused).toMatchObject({ allowed: false, limit: 3 });
  expect(refused.retryAfterMs).toBeGreaterThan(10_000);
});

test("a counter that lost its TTL does not refuse for ever", async () => {
  const key = keys.rateLimit("p", 60_000, "alice");
  await redis.set(key, 10);
  expect((await store.take(policyOf([10, 60_000]), request)).allowed).toBe(true);
  expect(await redis.get(key)).toBe("1");
  expect(await redis.pttl(key)).toBeGreaterThan(60_000 - SLACK_MS);
});

test("a cost above the limit, and an unknown policy, are errors that name the field", async () => {
  const limiter = limiterOf(policyOf([3, 60_000]));
  await expect(limiter.decide(limiter.policy("p"), { ...request, cost: 4 })).rejects.toThrow(
    CostAboveLimitError,
  );
  await expect(limiter.decide(limiter.policy("p"), { ...request, cost: 4 })).rejects.toThrow(
    "cost: got 4; expected at most 3",
  );
  expect(() => limiter.policy("q")).toThrow(UnknownPolicyError);
  expect(() => limiter.policy("q")).toThrow('policy: got "q"; expected the name of a policy');
});

describe("without Redis", () => {
  const dead = new RedisConnection({ host: "127.0.0.1", port: 1, timeoutMs: 200 }, recordLogs().logs);
  afterAll(() => dead.close());

  const limiterWithout = (onRedisFailure: Policy["onRedisFailure"]) => {
    const recorded = recordLogs();
    const deadStore = new RedisRateLimitStore(dead, keys);
    const policy = { ...policyOf([2, 60_000]), onRedisFailure };
    return {
      policy,
      recorded,
      limiter: new RateLimiter([policy], deadStore, new LocalRateLimitStore(), recorded.logs),
    };
  };

  test("local limits in the process", async () => {
    const { limiter, policy, recorded } = limiterWithout("local");
    const decisions = [];
    for (let i = 0; i < 3; i++) decisions.push(await limiter.decide(policy, request));
    expect(decisions.map(({ allowed, source }) => [allowed, source])).toEqual([
      [true, "local"],
      [true, "local"],
      [false, "local"],
    ]);
    expect(recorded.events()).toContain("rate_limit_fallback");
  });

  test("open allows, and says that Redis was unavailable", async () => {
    const { limiter, policy } = limiterWithout("open");
    expect(await limiter.decide(policy, request)).toMatchObject({
      allowed: true,
      retryAfterMs: 0,
      reason: "redis-unavailable",
      source: "open",
    });
  });

  test("closed refuses, and does not call it a reached limit", async () => {
    const { limiter, policy } = limiterWithout("closed");
    expect(await limiter.decide(policy, request)).toMatchObject({
      allowed: false,
      retryAfterMs: 1000,
      reason: "redis-unavailable",
      source: "closed",
    });
  });
});
