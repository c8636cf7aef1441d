import { createInMemory, type TestRedisQuota, type TestRedisQuotaOptions } from "./sdk/in-memory";
import { requireHttps } from "./sdk/load-https";

/**
 * The clients of `createRedisQuota` without Redis and Firestore, for tests of an app's own code. They decide as the real
 * ones do: both pass one suite of cases.
 *
 * @throws ConfigError, UnknownOptionError as `createRedisQuota`
 *
 * @example
 * const { quota, answerFrom } = createTestRedisQuota({ providers: { ada: { aiCallsUsed: 49, aiCallsLimit: 50 } } });
 * expect(await quota.consume("ada")).toMatchObject({ allowed: true, remaining: 0, source: "redis" });
 */
export function createTestRedisQuota(options: TestRedisQuotaOptions = {}): TestRedisQuota {
  return createInMemory(options, requireHttps);
}

export type { ProviderDocument } from "./quota/memory-quotas";
export type { TestRedisQuota, TestRedisQuotaOptions } from "./sdk/in-memory";
