import type { Logs } from "../observability/logs";
import type { FirestoreQuotaStore } from "./firestore-quota-store";
import type { RedisQuotaStore } from "./redis-quota-store";

/** Providers flushed together: BatchWrite takes 500 writes. */
const PAGE = 500;

/** An event may take so long before a change counts as missed. */
const SETTLING_MS = 60_000;

/** What a sync did. `oldestUnsyncedMs` is the age of the oldest usage that Firestore still lacks; 0 for none. */
export interface SyncReport {
  readonly flushed: number;
  readonly failed: number;
  readonly complete: boolean;
  readonly oldestUnsyncedMs: number;
}

/**
 * Brings usage from Redis to Firestore, each consumption exactly once. Any number of syncs may run at once, and each may
 * die at any point: what it began the next one ends.
 */
export class QuotaSync {
  constructor(
    private readonly redisStore: RedisQuotaStore,
    private readonly firestoreStore: FirestoreQuotaStore,
    private readonly logs: Logs,
  ) {}

  /**
   * Flushes every provider that was dirty when it began, until the deadline (Unix time, milliseconds); the next sync
   * goes on with the rest. What could not be flushed stays dirty and is logged.
   *
   * @throws RedisUnavailableError
   */
  async flushAll({ deadlineMs }: { readonly deadlineMs: number }): Promise<SyncReport> {
    const untilMs = await this.redisStore.nowMs();
    let flushed = 0;
    let failed = 0;
    let oldestSinceMs = Number.POSITIVE_INFINITY;
    let complete = true;
    for (const dirtyKey of this.redisStore.dirtyKeys()) {
      // Those that failed stay at the head of the index; they are passed over until the next sync.
      let passedOver = 0;
      for (;;) {
        const page = await this.redisStore.dirtyProviders(dirtyKey, {
          untilMs,
          offset: passedOver,
          count: PAGE,
        });
        if (page.length === 0) break;
        if (Date.now() >= deadlineMs) {
          complete = false;
          oldestSinceMs = Math.min(oldestSinceMs, page[0]!.sinceMs);
          break;
        }
        const failures = await this.flush(page.map(({ providerId }) => providerId));
        for (const { providerId, sinceMs } of page) {
          if (failures.has(providerId)) oldestSinceMs = Math.min(oldestSinceMs, sinceMs);
        }
        passedOver += failures.size;
        failed += failures.size;
        flushed += page.length - failures.size;
      }
    }
    const oldestUnsyncedMs = oldestSinceMs === Number.POSITIVE_INFINITY ? 0 : untilMs - oldestSinceMs;
    const report = { flushed, failed, complete, oldestUnsyncedMs };
    this.logs.quotasSynced(report);
    return report;
  }

  /**
   * Compares a sample of the entries with their documents, each a billed read, and brings up to date those that have
   * missed a change.
   *
   * @throws RedisUnavailableError, FirestoreUnavailableError
   */
  async reconcile(count: number): Promise<{ readonly compared: number; readonly drifted: number }> {
    const sample = await this.redisStore.sample(count);
    const documents = await this.firestoreStore.readMany(sample.map(({ providerId }) => providerId));
    let drifted = 0;
    for (const [i, { providerId, version }] of sample.entries()) {
      const snapshot = documents[i]!;
      if (snapshot instanceof Error || snapshot.version <= version) continue;
      // A document that does not exist has the version of this read; a tombstone of it is no drift.
      const missed =
        snapshot.quota !== undefined || (await this.redisStore.read(providerId)).kind === "snapshot";
      // A change that is younger may still be on its way.
      const overdue = snapshot.quota === undefined || snapshot.asOfMs - snapshot.version / 1000 > SETTLING_MS;
      if (!missed || !overdue) continue;
      drifted++;
      this.logs.quotaDrift(providerId, { redisVersion: version, firestoreVersion: snapshot.version });
      await this.redisStore.apply(providerId, snapshot);
    }
    const report = { compared: sample.length, drifted };
    this.logs.quotasReconciled(report);
    return report;
  }

  /**
   * Flushes some providers, and returns the ids of those that could not be flushed.
   *
   * @throws RedisUnavailableError
   */
  async flush(providerIds: readonly string[]): Promise<Set<string>> {
    const flushes = await this.redisStore.beginFlushes(providerIds);
    const outcomes = flushes.length > 0 ? await this.firestoreStore.commitFlushes(flushes) : [];
    const failures = new Set<string>();
    await Promise.all(
      outcomes.map(async (outcome, i) => {
        const { providerId } = flushes[i]!;
        if (outcome instanceof Error) {
          failures.add(providerId);
          this.logs.flushFailed(providerId, outcome);
        } else {
          // The snapshot contains the flush id, so that applying it also ends the flush.
          await this.redisStore.apply(providerId, outcome);
        }
      }),
    );
    return failures;
  }
}
