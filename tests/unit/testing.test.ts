import { FirestoreUnavailableError } from "../../functions/src/lib";
import { LocalRateLimitStore } from "../../functions/src/rate-limit/local-rate-limit-store";
import { createTestRedisQuota } from "../../functions/src/testing";
import { QUOTA_CLIENT_CASES } from "../cases/quota-client.ts";
import { RATE_LIMIT_CASES } from "../cases/rate-limits.ts";
import { SESSION_CLIENT_CASES } from "../cases/session-client.ts";
import { expectCase } from "../harness/rate-limit-case.ts";

describe("quotas in memory", () => {
  test.each(QUOTA_CLIENT_CASES)("$name", async ({ run }) => {
    const { quota, setProvider } = createTestRedisQuota();
    await run({ quota, setProvider: async (...document) => setProvider(...document) });
  });
});

describe("sessions in memory", () => {
  test.each(SESSION_CLIENT_CASES)("$name", async ({ run }) => {
    let nowMs = Date.UTC(2030, 0, 1);
    const { sessions } = createTestRedisQuota({ now: () => nowMs });
    await run(sessions, async (ms) => void (nowMs += ms));
  });
});

describe("rate limits in memory", () => {
  test.each(RATE_LIMIT_CASES)("$name", async (each) => {
    let now = 0;
    await expectCase(each, new LocalRateLimitStore(() => now, "redis"), (nowMs) => (now = nowMs));
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
  answerFrom("firestore");
  expect(await quota.consume("ada")).toMatchObject({ allowed: true, used: 2, source: "firestore" });
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
