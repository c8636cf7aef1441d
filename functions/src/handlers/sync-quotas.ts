import type { Context } from "../context";
import type { SyncReport } from "../quota/quota-sync";

/** Stops this long before the function's time limit. */
const MARGIN_MS = 30_000;

/**
 * Brings usage from Redis to Firestore, until the function's time limit is near.
 *
 * @throws RedisUnavailableError, so that the failure shows in the function's log and error rate.
 */
export function syncQuotas(timeoutSeconds: number, context: () => Context): Promise<SyncReport> {
  return context().quotaSync.flushAll({ deadlineMs: Date.now() + timeoutSeconds * 1000 - MARGIN_MS });
}
