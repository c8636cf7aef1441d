import { createInMemory, type TestRedisQuota, type TestRedisQuotaOptions } from "./sdk/in-memory";
import { requireHttps } from "./sdk/load-https";

/**
 * The clients of `createRedisQuota` without Redis and Firestore, for tests of an app's own code. They are the real ones,
 * of any mode, over stores in memory: both pass one suite of cases.
 *
 * Reads no environment: settings that are left out have their defaults.
 *
 * @throws InvalidArgumentError, ConfigError; that also for `rateLimitPolicyCollection`, which there is not in memory
 *
 * @example
 * const { quota, answerFrom } = createTestRedisQuota({ providers: { ada: { aiCallsUsed: 48, aiCallsLimit: 50 } } });
 * expect(await quota.check("ada")).toMatchObject({ remaining: 2, source: "redis" });
 * expect(await quota.consume("ada")).toMatchObject({ allowed: true, remaining: 1, source: "firestore" });
 * answerFrom("unknown");
 * await expect(quota.consume("ada")).rejects.toThrow(QuotaOutcomeUnknownError);
 */
export function createTestRedisQuota(options?: TestRedisQuotaOptions): TestRedisQuota {
  return createInMemory(options, requireHttps);
}

export type { ProviderDocument } from "./quota/memory-quotas";
export type { TestRedisQuota, TestRedisQuotaOptions } from "./sdk/in-memory";
