import { ConfigError, FirestoreUnavailableError } from "../../functions/src/lib";
import type { QuotaMode } from "../../functions/src/quota/quota-service";
import { createTestRedisQuota, type TestRedisQuotaOptions } from "../../functions/src/testing";
import { LIMITER_CLIENT_CASES, LIMITER_POLICIES } from "../cases/limiter-client.ts";
import { OUTAGE_CASES, type ClientsUnderTest } from "../cases/outages.ts";
import { QUOTA_CLIENT_CASES } from "../cases/quota-client.ts";
import { RATE_LIMIT_CASES } from "../cases/rate-limits.ts";
import { SESSION_CLIENT_CASES } from "../cases/session-client.ts";
import { expectCase } from "../harness/rate-limit-case.ts";

const START_MS = Date.UTC(2030, 0, 1);

describe.each<QuotaMode>(["firestore", "dual-write", "redis-primary"])("in mode %s", (mode) => {
  function create(options: TestRedisQuotaOptions = {}): ClientsUnderTest {
    const { setProvider, answerFrom, ...clients } = createTestRedisQuota({
      mode,
      rateLimitPolicies: LIMITER_POLICIES,
      ...options,
    });
    return {
      ...clients,
      mode,
      setProvider: async (...document) => setProvider(...document),
      answerFrom: async (source) => answerFrom(source),
    };
  }

  test.each(QUOTA_CLIENT_CASES)("quotas: $name", ({ run }) => run(create()));

  test.each(SESSION_CLIENT_CASES)("sessions: $name", async ({ run }) => {
    let nowMs = START_MS;
    await run({ ...create({ now: () => nowMs }), passMs: async (ms) => void (nowMs += ms) });
  });

  test.each(LIMITER_CLIENT_CASES)("limiter: $name", async ({ run }) => {
    const now = () => START_MS;
    await run(create({ now }).limiter, now);
  });

  test.each(OUTAGE_CASES)("outages: $name", ({ run }) => run(create()));
});

test("a bad policy stops rate limits only, with one log entry", async () => {
  const events: string[] = [];
  const { quota, limiter, sessions } = createTestRedisQuota({
    providers: { ada: { aiCallsUsed: 1, aiCallsLimit: 5 } },
    rateLimitPolicies: [{ name: "p", by: "nobody" as never, limits: [] }],
    log: ({ event }) => void events.push(event),
  });
  expect(await quota.check("ada")).toMatchObject({ remaining: 4 });
  expect(await sessions.get("s".repeat(32))).toBeUndefined();
  const calls: (() => Promise<unknown>)[] = [
    () => limiter.check("p", "a"),
    () => limiter.policy("p"),
    () => limiter.enforce("p", "a"),
    () => limiter.refund("p", "a"),
    () => limiter.reset("p", "a"),
    () => limiter.block("p", "a", 0),
  ];
  for (const call of calls) {
    await expect(call()).rejects.toThrow(ConfigError);
    await expect(call()).rejects.toThrow(/\[0\]\.by` .*\n.*\[0\]\.limits`/);
  }
  expect(events.filter((event) => event === "config_invalid")).toHaveLength(1);
});

describe("rate limits", () => {
  test.each(RATE_LIMIT_CASES)("$name", async (each) => {
    let nowMs = 0;
    const rateLimitPolicies = [{ name: "p", by: "uid", limits: each.limits }] as const;
    const { limiter } = createTestRedisQuota({ now: () => nowMs, rateLimitPolicies });
    await expectCase(
      each,
      {
        take: (_limits, subject, request) => limiter.check("p", subject, request),
        refund: (_limits, subject, cost) => limiter.refund("p", subject, { cost }),
      },
      (next) => (nowMs = next),
    );
  });
});

test("answers say who gave them, and both stores can be away", async () => {
  const limits = [{ algorithm: "fixed-window", limit: 1, window: "1 m" }] as const;
  const { quota, limiter, answerFrom } = createTestRedisQuota({
    providers: { ada: { aiCallsUsed: 1, aiCallsLimit: 2 } },
    rateLimitPolicies: [{ name: "p", by: "uid", onRedisFailure: "closed", limits }],
  });
  expect(await quota.check("ada")).toMatchObject({ used: 1, source: "redis" });
  expect(await limiter.check("p", "ada")).toMatchObject({ allowed: true, source: "redis" });
  expect(await quota.consume("ada")).toMatchObject({ allowed: true, used: 2, source: "firestore" });
  answerFrom("firestore");
  expect(await quota.check("ada")).toMatchObject({ used: 2, source: "firestore" });
  expect(await limiter.check("p", "bob")).toMatchObject({ allowed: false, reason: "redis-unavailable" });
  answerFrom("neither");
  await expect(quota.check("ada")).rejects.toThrow(FirestoreUnavailableError);
  answerFrom("redis");
  expect(await quota.check("ada")).toMatchObject({ used: 2, source: "redis" });
});

test("the clock of rate limits is the test's", async () => {
  let nowMs = Date.UTC(2030, 0, 1);
  const limits = [{ algorithm: "fixed-window", limit: 1, window: "1 m" }] as const;
  const policies = [{ name: "p", by: "uid", limits }] as const;
  const { limiter } = createTestRedisQuota({ now: () => nowMs, rateLimitPolicies: policies });
  expect((await limiter.check("p", "ada")).allowed).toBe(true);
  expect(await limiter.check("p", "ada")).toMatchObject({ allowed: false, retryAfterMs: 60_000 });
  nowMs += 60_000;
  expect((await limiter.check("p", "ada")).allowed).toBe(true);
});

test("a collection of policies, which there is not in memory, is refused by name", () => {
  const create = () => createTestRedisQuota({ rateLimitPolicyCollection: "policies" });
  expect(create).toThrow(ConfigError);
  expect(create).toThrow(/Expected `rateLimitPolicyCollection` to be unset in tests.*; got "policies"\./);
});

test("what a session holds is no one else's to change", async () => {
  const { sessions, answerFrom } = createTestRedisQuota();
  await sessions.set("s1", { cart: { tea: 1 } });
  for (const source of ["redis", "firestore"] as const) {
    answerFrom(source);
    const { data } = (await sessions.get("s1"))!;
    (data["cart"] as { tea: number }).tea = 9;
    expect((await sessions.get("s1"))?.data).toEqual({ cart: { tea: 1 } });
  }
});

test("the environment has no effect: test runners have variables of their own, such as MODE", () => {
  const before = process.env;
  process.env = { ...before, MODE: "test", DATABASE: "postgres://db", REDIS_QUOTA_MODE: "test" };
  try {
    jest.isolateModules(() => {
      const testing = jest.requireActual<{ createTestRedisQuota(): object }>("../../functions/src/testing");
      expect(testing.createTestRedisQuota()).toHaveProperty("limiter");
    });
  } finally {
    process.env = before;
  }
});
