import type { Redis } from "ioredis";

import type { Decision } from "../../functions/src/rate-limit/decision";
import { InvalidRateLimitCallError } from "../../functions/src/rate-limit/invalid-call";
import type { Algorithm } from "../../functions/src/rate-limit/limit-algorithms";
import { LocalRateLimitStore } from "../../functions/src/rate-limit/local-rate-limit-store";
import { checkPolicies, type PolicyInput } from "../../functions/src/rate-limit/policy";
import { RateLimiter } from "../../functions/src/rate-limit/rate-limiter";
import { RedisRateLimitStore } from "../../functions/src/rate-limit/redis-rate-limit-store";
import { RedisConnection } from "../../functions/src/redis/connection";
import { Keys } from "../../functions/src/redis/keys";
import type { RedisServers } from "../../functions/src/redis/redis-servers";
import { startRedis } from "../../scripts/redis-server.mjs";
import { RATE_LIMIT_CASES } from "../cases/rate-limits.ts";
import { holdClock } from "../harness/held-clock.ts";
import { EPOCH_MS, expectCase } from "../harness/rate-limit-case.ts";
import { recordLogs } from "../harness/recorded-logs.ts";
import { connectRedis, testRedisPort, uniquePrefix } from "../harness/test-redis.ts";
import { waitFor } from "../harness/wait-for.ts";

let redis: Redis;
let connection: RedisConnection;
let prefix: string;
let store: RedisRateLimitStore;

const connect = (port = testRedisPort(), timeoutMs = 2000) =>
  new RedisConnection({ host: "127.0.0.1", port, timeoutMs }, recordLogs().logs);

beforeAll(() => {
  redis = connectRedis();
  connection = connect();
});

beforeEach(() => {
  prefix = uniquePrefix();
  store = new RedisRateLimitStore(connection, new Keys(prefix));
});

afterAll(() => {
  redis.disconnect();
  connection.close();
});

const REQUEST = { cost: 1, peek: false };
const HOUR = { algorithm: "fixed-window", window: "1 h" } as const;
const ALGORITHMS: readonly Algorithm[] = ["fixed-window", "sliding-window", "token-bucket"];

function policyOf(limits: PolicyInput["limits"], more: Partial<PolicyInput> = {}) {
  return checkPolicies([{ name: "p", by: "uid", limits, ...more }])[0]!;
}

/** A limiter whose policies can be changed while it runs. */
function limiterOf(policy: ReturnType<typeof policyOf>, shared = store) {
  const recorded = recordLogs();
  const policies = new Map([["p", policy]]);
  const limiter = new RateLimiter(
    { policies: () => policies },
    shared,
    new LocalRateLimitStore(),
    recorded.logs,
    recorded.metrics,
  );
  return { limiter, recorded, replace: (other: typeof policy) => policies.set("p", other) };
}

/** How often scripts were run on the server; other tests use it too, so that only a store of one's own counts. */
function counting(inner: RedisConnection) {
  let runs = 0;
  const runFor: RedisServers["runFor"] = (...args) => {
    runs++;
    return inner.runFor(...args);
  };
  return { connection: { runFor } as RedisServers, runs: () => runs };
}

describe("the table of cases, by the Lua with its clock held", () => {
  test.each(RATE_LIMIT_CASES)("$name", async (each) => {
    let now = EPOCH_MS;
    const held = new RedisRateLimitStore(
      holdClock(redis, () => now),
      new Keys(prefix),
      () => now,
    );
    await expectCase(each, held, (nowMs) => (now = nowMs));
  });
});

describe("in Redis", () => {
  test.each(ALGORITHMS)("%s: no key is without a TTL, whatever was done", async (algorithm) => {
    const { limits } = policyOf([{ algorithm, limit: 5, window: "1 h" }]);
    const { limits: several } = policyOf(
      [
        { algorithm, limit: 5, window: "1 h" },
        { ...HOUR, limit: 9, window: "2 h" },
      ],
      { name: "several" },
    );
    for (const each of [limits, several]) {
      for (let i = 0; i < 7; i++) await store.take(each, "alice", REQUEST);
      await store.refund(each, "alice", 2);
      await store.take(each, "alice", REQUEST);
      await store.block(each, "alice", Date.now() + 5000);
      await store.block(each, "bob", Date.now() + 5000);
      await store.take(each, "bob", REQUEST);
      await store.refund(each, "nobody", 1);
      await store.take(each, "nobody", { cost: 1, peek: true });
    }
    const keys = await redis.keys(`${prefix}:*`);
    // For each policy the blocks, and a hash for each limit.
    expect(keys).toHaveLength(5);
    for (const key of keys) expect(await redis.pttl(key)).toBeGreaterThan(0);
  });

  test("the clock is Redis's: one that is wrong in the process changes nothing", async () => {
    const { limits } = policyOf([{ ...HOUR, limit: 2 }]);
    const first = await store.take(limits, "alice", REQUEST);
    const wrong = jest.spyOn(Date, "now").mockReturnValue(0);
    try {
      const second = await store.take(limits, "alice", REQUEST);
      expect(second).toMatchObject({ allowed: true, remaining: 0 });
      expect(Math.abs(second.resetAtMs - first.resetAtMs) % 3_600_000).toBe(0);
    } finally {
      wrong.mockRestore();
    }
  });

  test("keys of another kind in place of the hashes and records of another length count as none, and give way", async () => {
    const { limits } = policyOf([{ ...HOUR, limit: 2 }]);
    const hashes = new Keys(prefix).charges(0, "p", "f3600000");
    for (const key of hashes) await redis.set(key, "x");
    expect(await store.take(limits, "alice", REQUEST)).toMatchObject({ allowed: true, remaining: 1 });
    expect(await store.take(limits, "alice", REQUEST)).toMatchObject({ allowed: true, remaining: 0 });
    expect((await store.take(limits, "alice", REQUEST)).allowed).toBe(false);
    // A record of another length fails nobody else's request.
    for (const key of hashes) if ((await redis.type(key)) === "hash") await redis.hset(key, "bob", "x");
    const [bob, carol] = await Promise.all(["bob", "carol"].map((name) => store.take(limits, name, REQUEST)));
    expect(bob).toMatchObject({ allowed: true, remaining: 1 });
    expect(carol).toMatchObject({ allowed: true, remaining: 1 });
  });

  test("a hash holds one generation: the next but one takes its place, and a window's goes with the next", async () => {
    let now = EPOCH_MS;
    const clock = () => now;
    const held = new RedisRateLimitStore(holdClock(redis, clock), new Keys(prefix), clock);
    const subjectsOf = async (shape: string) => {
      const hashes = new Keys(prefix).charges(0, "p", shape).map((hash) => redis.hkeys(hash));
      return (await Promise.all(hashes)).map((fields) => fields.filter((field) => field !== "").join());
    };
    const shapes = { "fixed-window": "f1000", "sliding-window": "s1000", "token-bucket": "t1000x3" } as const;
    const held4: Record<string, string[][]> = {};
    for (const algorithm of ALGORITHMS) {
      const burst = algorithm === "token-bucket" ? { burst: 6 } : {};
      const { limits } = policyOf([{ algorithm, limit: 2, windowMs: 1000, ...burst }]);
      now = EPOCH_MS;
      held4[algorithm] = [];
      for (const subject of ["a", "b", "c", "d"]) {
        await held.take(limits, subject, REQUEST);
        held4[algorithm].push(await subjectsOf(shapes[algorithm]));
        now += limits.limits[0]!.spanMs;
      }
    }
    const taking = [["a", ""], ["a", "b"], ["c", "b"], ["c", "d"]]; // prettier-ignore
    expect(held4["sliding-window"]).toEqual(taking);
    expect(held4["token-bucket"]).toEqual(taking);
    expect(held4["fixed-window"]).toEqual([["a", ""], ["", "b"], ["c", ""], ["", "d"]]); // prettier-ignore
  });

  test("SCRIPT FLUSH and a restart under load: answers go on, and from Redis again", async () => {
    const server = await startRedis();
    const own = connect(server.port, 300);
    const { limiter } = limiterOf(
      policyOf([{ ...HOUR, limit: 1_000_000 }]),
      new RedisRateLimitStore(own, new Keys(prefix)),
    );
    const control = connectRedis(server.port);
    let stopped = false;
    const sources = new Map<Decision["source"], number>();
    const caller = async () => {
      while (!stopped) {
        const { allowed, source } = await limiter.check("p", "alice");
        expect(allowed).toBe(true);
        sources.set(source, (sources.get(source) ?? 0) + 1);
        await new Promise(setImmediate);
      }
    };
    const callers = Array.from({ length: 20 }, caller);
    try {
      await waitFor(() => (sources.get("redis") ?? 0) > 100, { what: "answers from Redis" });
      await control.script("FLUSH");
      expect(sources.get("local")).toBeUndefined();
      const flushedAt = sources.get("redis")!;
      await waitFor(() => sources.get("redis")! > flushedAt + 100, { what: "answers after SCRIPT FLUSH" });
      expect(sources.get("local")).toBeUndefined();
      control.disconnect();
      await server.kill();
      await waitFor(() => (sources.get("local") ?? 0) > 100, { what: "answers without Redis" });
      await server.restart();
      const before = sources.get("redis")!;
      await waitFor(() => sources.get("redis")! > before + 100, { what: "answers from the restarted Redis" });
    } finally {
      stopped = true;
      await Promise.all(callers);
      control.disconnect();
      own.close();
      await server.stop();
    }
  });
});

describe("refusals are remembered", () => {
  const remembering = (policy = policyOf([{ ...HOUR, limit: 5 }])) => {
    const counted = counting(connection);
    let now = 0;
    const own = new RedisRateLimitStore(counted.connection, new Keys(prefix), () => now);
    return { ...limiterOf(policy, own), runs: counted.runs, pass: (ms: number) => (now += ms) };
  };
  const exhaust = async (limiter: RateLimiter) => {
    await limiter.check("p", "alice", { cost: 4 });
    expect((await limiter.check("p", "alice", { cost: 2 })).allowed).toBe(false);
  };

  test("and repeated without asking Redis, for a second; a smaller cost is not refused by that of a larger", async () => {
    const { limiter, runs, pass } = remembering();
    await exhaust(limiter);
    const before = runs();
    expect(await limiter.check("p", "alice", { cost: 2 })).toMatchObject({ allowed: false, remaining: 1 });
    expect(await limiter.check("p", "alice", { cost: 3, peek: true })).toMatchObject({ allowed: false });
    expect(runs()).toBe(before);
    expect((await limiter.check("p", "alice", { cost: 1 })).allowed).toBe(true);
    expect((await limiter.check("p", "alice")).allowed).toBe(false);
    const later = runs();
    await limiter.check("p", "alice");
    expect(runs()).toBe(later);
    pass(1000);
    await limiter.check("p", "alice");
    expect(runs()).toBe(later + 1);
  });

  test("until the request could be allowed", async () => {
    const { limiter, pass } = remembering(
      policyOf([{ algorithm: "token-bucket", limit: 1000, window: "1 s" }]),
    );
    await limiter.check("p", "alice", { cost: 1000 });
    const { allowed, retryAfterMs } = await limiter.check("p", "alice", { cost: 800 });
    expect(allowed).toBe(false);
    await waitFor(
      async () => {
        pass(20);
        return (await limiter.check("p", "alice", { cost: 800 })).allowed;
      },
      { what: "tokens", timeoutMs: retryAfterMs + 2000 },
    );
  });

  test.each<[string, (limiter: RateLimiter) => Promise<void>]>([
    ["a refund", (limiter) => limiter.refund("p", "alice", { cost: 1 })],
    ["a reset", (limiter) => limiter.reset("p", "alice")],
  ])("and forgotten after %s", async (_, change) => {
    const { limiter } = remembering();
    await exhaust(limiter);
    await change(limiter);
    expect((await limiter.check("p", "alice", { cost: 2 })).allowed).toBe(true);
  });

  test("and forgotten when the policy changes", async () => {
    const { limiter, replace } = remembering();
    await exhaust(limiter);
    replace(policyOf([{ ...HOUR, limit: 6 }]));
    expect(await limiter.check("p", "alice", { cost: 2 })).toMatchObject({
      allowed: true,
      limit: 6,
      remaining: 0,
    });
  });

  test("and forgotten when a block ends", async () => {
    const { limiter } = remembering();
    await limiter.block("p", "alice", Date.now() + 60_000);
    expect(await limiter.check("p", "alice")).toMatchObject({
      allowed: false,
      reason: "blocked",
      remaining: 0,
    });
    await limiter.block("p", "alice", 0);
    expect((await limiter.check("p", "alice")).allowed).toBe(true);
  });
});

describe("subjects with limits of their own", () => {
  const policy = policyOf([{ ...HOUR, limit: 1 }], {
    overrides: [
      { subject: "customer", limits: [3] },
      { subject: "barred", limits: [0] },
      { subject: "suspended", blockedUntil: new Date(Date.now() + 3_600_000).toISOString() },
      { subject: "pardoned", blockedUntil: new Date(Date.now() - 1000).toISOString() },
    ],
  });

  test("a higher limit, a limit of 0, a block until a time", async () => {
    const { limiter } = limiterOf(policy);
    expect(await limiter.check("p", "anyone")).toMatchObject({ allowed: true, remaining: 0 });
    expect(await limiter.check("p", "customer", { cost: 3 })).toMatchObject({ allowed: true, limit: 3 });
    expect(await limiter.check("p", "barred")).toMatchObject({ allowed: false, reason: "limit-reached" });
    const suspended = await limiter.check("p", "suspended");
    expect(suspended).toMatchObject({ allowed: false, reason: "blocked" });
    expect(suspended.retryAfterMs).toBeGreaterThan(3_500_000);
    expect(await limiter.check("p", "pardoned")).toMatchObject({ allowed: true });
  });

  test("a limit that is lowered below what was charged leaves nothing, and a refund takes back no more than its cost", async () => {
    const { limiter, replace } = limiterOf(policyOf([{ ...HOUR, limit: 10 }]));
    await limiter.check("p", "alice", { cost: 10 });
    replace(policyOf([{ ...HOUR, limit: 2 }]));
    expect(await limiter.check("p", "alice")).toMatchObject({ allowed: false, remaining: 0, limit: 2 });
    await limiter.refund("p", "alice", { cost: 2 });
    replace(policyOf([{ ...HOUR, limit: 10 }]));
    expect(await limiter.check("p", "alice", { peek: true })).toMatchObject({ remaining: 2 });
  });
});

test.each<[string, (limiter: RateLimiter) => Promise<unknown>, RegExp]>([
  [
    "a cost above the limit",
    (l) => l.check("p", "a", { cost: 4 }),
    /^Expected `cost` to be at most 3.*; got 4/,
  ],
  ["a cost of 0", (l) => l.check("p", "a", { cost: 0 }), /^Expected `cost` to be a whole number.*; got 0/],
  [
    "a negative refund",
    (l) => l.refund("p", "a", { cost: -1 }),
    /^Expected `cost` to be a whole number.*; got -1/,
  ],
  ["an unknown policy", (l) => l.check("q", "a"), /^Expected `policy` to be the name of a policy.*; got "q"/],
  ["no subject", (l) => l.check("p", ""), /^Expected `subject` to be 1 to 256 characters.*; got ""/],
  [
    "a line break in a subject",
    (l) => l.reset("p", "a\nb"),
    /^Expected `subject` to be 1 to 256 characters.*; got a string of 3 characters\.$/,
  ],
  [
    "a block of no time",
    (l) => l.block("p", "a", NaN),
    /^Expected `untilMs` to be a Unix time in milliseconds.*; got NaN/,
  ],
])("%s is an error that names the field", async (_, call, message) => {
  const { limiter } = limiterOf(policyOf([{ ...HOUR, limit: 3 }]));
  await expect(call(limiter)).rejects.toThrow(InvalidRateLimitCallError);
  await expect(call(limiter)).rejects.toThrow(message);
});

describe("without Redis", () => {
  const dead = connect(1, 200);
  afterAll(() => dead.close());
  const limiterWithout = (onRedisFailure: "local" | "open" | "closed", more: Partial<PolicyInput> = {}) =>
    limiterOf(
      policyOf([{ ...HOUR, limit: 2 }], { onRedisFailure, ...more }),
      new RedisRateLimitStore(dead, new Keys("dead")),
    );

  test("local limits in the process", async () => {
    const { limiter, recorded } = limiterWithout("local");
    const decisions = [];
    for (let i = 0; i < 3; i++) decisions.push(await limiter.check("p", "alice"));
    expect(decisions.map(({ allowed, source }) => [allowed, source])).toEqual([
      [true, "local"],
      [true, "local"],
      [false, "local"],
    ]);
    expect(recorded.events()).toContain("rate_limit_fallback");
  });

  test("open allows, and says that Redis was unavailable; but nobody whom the policy bars", async () => {
    const { limiter } = limiterWithout("open", { overrides: [{ subject: "barred", limits: [0] }] });
    expect(await limiter.check("p", "alice")).toMatchObject({
      allowed: true,
      retryAfterMs: 0,
      reason: "redis-unavailable",
      source: "open",
    });
    expect(await limiter.check("p", "barred")).toMatchObject({ allowed: false, source: "local" });
  });

  test("closed refuses, and does not call it a reached limit", async () => {
    const { limiter } = limiterWithout("closed");
    expect(await limiter.check("p", "alice")).toMatchObject({
      allowed: false,
      retryAfterMs: 1000,
      reason: "redis-unavailable",
      source: "closed",
    });
  });

  test("each of many at once is decided and counted once, and a peek is not counted", async () => {
    const { limiter, recorded } = limiterWithout("local");
    const asked = ["alice", "alice", "bob", "alice"].map((subject) => limiter.check("p", subject));
    const peeked = limiter.check("p", "carol", { peek: true });
    const decisions = await Promise.all(asked);
    expect(decisions.map(({ allowed, remaining }) => [allowed, remaining])).toEqual([
      [true, 1],
      [true, 0],
      [true, 1],
      [false, 0],
    ]);
    expect(await peeked).toMatchObject({ allowed: true, remaining: 2, source: "local" });
    expect(recorded.metrics.counts().decisions).toEqual({ p: { local: { allowed: 3, refused: 1 } } });
  });

  test("a refund says that it failed", async () => {
    const { limiter } = limiterWithout("local");
    await expect(limiter.refund("p", "alice")).rejects.toMatchObject({ code: "redis-unavailable" });
  });
});
