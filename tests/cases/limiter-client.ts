import { randomUUID } from "node:crypto";

import { InvalidRateLimitCallError, type Limiter, type PolicyInput } from "../../functions/src/lib";

const DAY_MS = 86_400_000;
const PER_DAY = [{ algorithm: "fixed-window", limit: 3, window: "1 d" }] as const;

/** The policies that the cases go by. */
export const LIMITER_POLICIES: readonly PolicyInput[] = [
  { name: "local", by: "subject", limits: PER_DAY },
  { name: "open", by: "subject", onRedisFailure: "open", limits: PER_DAY },
  { name: "closed", by: "subject", onRedisFailure: "closed", limits: PER_DAY },
];

/** What every limiter does, wherever it counts; `now` is its clock, Unix ms. */
export const LIMITER_CLIENT_CASES: readonly {
  readonly name: string;
  readonly run: (limiter: Limiter, now: () => number) => Promise<void>;
}[] = [
  {
    name: "counts to the limit, and gives room by a refund",
    async run(limiter) {
      const subject = randomUUID();
      expect(await limiter.check("local", subject, { cost: 3, peek: true })).toMatchObject({ remaining: 3 });
      expect(await limiter.check("local", subject, { cost: 2 })).toMatchObject({
        allowed: true,
        limit: 3,
        remaining: 1,
        reason: "within-limit",
        source: "redis",
      });
      expect(await limiter.check("local", subject, { cost: 2 })).toMatchObject({
        allowed: false,
        remaining: 1,
        reason: "limit-reached",
        source: "redis",
      });
      await limiter.refund("local", subject, { cost: 2 });
      expect(await limiter.enforce("local", subject)).toMatchObject({ allowed: true, remaining: 2 });
      expect(await limiter.check("local", randomUUID())).toMatchObject({ remaining: 2 });
    },
  },
  {
    name: "refuses who is blocked until the block ends or is ended, and forgets by a reset",
    async run(limiter, now) {
      const subject = randomUUID();
      await limiter.check("local", subject);
      const untilMs = now() + 60_000;
      await limiter.block("local", subject, untilMs);
      const refusal = await limiter.check("local", subject);
      expect(refusal).toMatchObject({ allowed: false, remaining: 0, reason: "blocked", source: "redis" });
      expect(refusal.retryAfterMs).toBeGreaterThan(0);
      expect(refusal.retryAfterMs).toBeLessThanOrEqual(60_000);
      await expect(limiter.enforce("local", subject)).rejects.toMatchObject({ code: "resource-exhausted" });
      await limiter.block("local", subject, 0);
      expect(await limiter.check("local", subject)).toMatchObject({ allowed: true, remaining: 1 });
      await limiter.block("local", subject, untilMs);
      await limiter.reset("local", subject);
      expect(await limiter.check("local", subject)).toMatchObject({ allowed: true, remaining: 2 });
    },
  },
  {
    name: "counts by a limit in place of a policy, in any spelling, apart from other limits",
    async run(limiter) {
      const subject = randomUUID();
      const limit = { algorithm: "fixed-window", limit: 3, window: "1 d" } as const;
      const remaining = async (other: Parameters<Limiter["check"]>[0]) =>
        (await limiter.check(other, subject, { peek: true })).remaining;
      expect(await limiter.check(limit, subject, { cost: 2 })).toMatchObject({
        allowed: true,
        limit: 3,
        windowMs: DAY_MS,
        remaining: 1,
        reason: "within-limit",
        source: "redis",
      });
      expect(await remaining({ ...limit, window: "24 h" })).toBe(1);
      expect(await remaining({ windowMs: DAY_MS, limit: 3, algorithm: "fixed-window" })).toBe(1);
      expect(await remaining({ ...limit, onRedisFailure: "closed" })).toBe(1);
      expect(await remaining({ ...limit, limit: 4 })).toBe(4);
      expect(await remaining({ ...limit, window: "2 d" })).toBe(3);
      expect(await remaining({ limit: 3, window: "1 d" })).toBe(3);
      expect(await remaining({ ...limit, algorithm: "token-bucket", burst: 5 })).toBe(5);
      expect(await remaining("local")).toBe(3);
    },
  },
  {
    name: "enforces, refunds, blocks and resets by a limit in place of a policy",
    async run(limiter, now) {
      const [subject, limit] = [randomUUID(), { limit: 3, window: "1 d" }];
      await limiter.enforce(limit, subject, { cost: 2 });
      const refusal = limiter.enforce(limit, subject, { cost: 2 });
      await expect(refusal).rejects.toMatchObject({
        code: "resource-exhausted",
        details: { limit: 3, remaining: 1, reason: "limit-reached" },
      });
      await limiter.refund(limit, subject, { cost: 2 });
      expect(await limiter.enforce(limit, subject)).toMatchObject({ allowed: true, remaining: 2 });
      await limiter.block(limit, subject, now() + 60_000);
      expect(await limiter.check(limit, subject)).toMatchObject({ allowed: false, reason: "blocked" });
      expect(await limiter.check({ ...limit, limit: 4 }, subject)).toMatchObject({ allowed: true });
      await limiter.reset(limit, subject);
      expect(await limiter.check(limit, subject)).toMatchObject({ allowed: true, remaining: 2 });
      expect(await limiter.decide(await limiter.policy(limit), subject)).toMatchObject({ remaining: 1 });
    },
  },
  {
    name: "names what is wrong with a call",
    async run(limiter, now) {
      for (const call of [
        () => limiter.check("nobody", "ada"),
        () => limiter.check("local", ""),
        () => limiter.check("local", "ada", { cost: 4 }),
        () => limiter.check({ limit: 3, window: "1 d" }, "ada", { cost: 4 }),
        () => limiter.refund("local", "ada", { cost: 0 }),
        () => limiter.block("local", "ada", now() + 367 * DAY_MS),
      ]) {
        await expect(call()).rejects.toThrow(InvalidRateLimitCallError);
      }
    },
  },
];
