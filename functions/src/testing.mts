import { createInMemory, type TestRedisQuota, type TestRedisQuotaOptions } from "./sdk/in-memory.js";

// As in lib.mts.
export function createTestRedisQuota(options?: TestRedisQuotaOptions): TestRedisQuota {
  return createInMemory(options, () => import("firebase-functions/v2/https"));
}
