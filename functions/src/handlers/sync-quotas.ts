import type { Context } from "../context";
import type { SyncReport } from "../quota/quota-sync";

/** Stops this long before the function's time limit. */
const MARGIN_MS = 30_000;

/** Entries compared with Firestore at each run: one billed read each. */
const RECONCILE_SAMPLE = 100;

/**
 * Brings usage from Redis to Firestore, until the function's time limit is near, and then compares a sample of both.
 *
 * @throws RedisUnavailableError, so that the failure shows in the function's log and error rate.
 */
export async function syncQuotas(timeoutSeconds: number, context: () => Context): Promise<SyncReport> {
  const { quotaSync, metrics } = context();
  const report = await quotaSync.flushAll({ deadlineMs: Date.now() + timeoutSeconds * 1000 - MARGIN_MS });
  metrics.measured(await quotaSync.unsynced());
  await quotaSync.reconcile(RECONCILE_SAMPLE);
  return report;
}
