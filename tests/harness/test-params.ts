import type { PolicyInput } from "../../functions/src/rate-limit/policy.ts";

const perDay = (limit: number): PolicyInput["limits"] => [
  { algorithm: "fixed-window", limit, window: "1 d" },
];

/** The policies that the emulated extension of the tests is installed with, one for each `by`. */
const POLICIES: readonly PolicyInput[] = [
  { name: "by-uid", by: "uid", maxCost: 5, onRedisFailure: "local", limits: perDay(5) },
  { name: "by-ip", by: "ip", onRedisFailure: "local", limits: perDay(1_000_000) },
  { name: "by-app", by: "app", onRedisFailure: "local", limits: perDay(5) },
  { name: "by-subject", by: "subject", onRedisFailure: "closed", limits: perDay(5) },
  { name: "global", by: "global", onRedisFailure: "open", limits: perDay(1_000_000) },
  { name: "blocked", by: "uid", onRedisFailure: "closed", limits: perDay(0) },
];

export const POLICY_COLLECTION = "rateLimitPolicies";

/** The params of the emulated extension, beyond those that say where Redis is. */
export const TEST_PARAMS = {
  // A busy machine is no reason to answer from Firestore.
  REDIS_TIMEOUT_MS: "2000",
  RATE_LIMIT_POLICIES: JSON.stringify(POLICIES),
  RATE_LIMIT_POLICY_COLLECTION: POLICY_COLLECTION,
  // A first task without data would end at once; nothing enqueues one but a test.
  BACKFILL_ON_INSTALL: "true",
};
