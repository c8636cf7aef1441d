import type { Logs } from "../observability/logs";
import type { Unsynced } from "../observability/metrics";
import { RedisUnavailableError } from "../redis/connection";
import type { FirestoreQuotaStore } from "./firestore-quota-store";
import type { QuotaSample, RedisQuotaStore } from "./redis-quota-store";

/** Providers flushed together: BatchWrite takes 500 writes. */
const PAGE = 500;

/** Flushes of one provider in a row, which is used again and again meanwhile. */
const MAX_ROUNDS = 3;

/** After this long, {@link QuotaSync.flush} begins no other round: so a flush takes two writes to Firestore at most. */
const NEW_ROUNDS_MS = 10_000;

/** Documents that are read together to compare entries with them. */
const COMPARED_AT_ONCE = 100;

/** An event may take so long before a change counts as missed. */
const SETTLING_MS = 60_000;

/** What a sync did. `oldestUnsyncedMs` is the age of the oldest usage that Firestore still lacks; 0 for none. */
export interface SyncReport {
  readonly flushed: number;
  readonly failed: number;
  readonly complete: boolean;
  readonly oldestUnsyncedMs: number;
}

/** How many entries were compared with their documents, and how many of them had missed a change. */
export interface Reconciliation {
  readonly compared: number;
  readonly drifted: number;
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
   * @param onProgress is told how many were flushed or failed so far
   * @throws RedisUnavailableError once all that could be flushed is
   */
  async flushAll(
    { deadlineMs }: { readonly deadlineMs: number },
    onProgress?: (providers: number) => void,
  ): Promise<SyncReport> {
    const reports: SyncReport[] = [];
    let failure: RedisUnavailableError | undefined;
    let done = 0;
    const onFlushed = (providers: number) => onProgress?.((done += providers));
    for (const dirtyKey of this.redisStore.dirtyKeys()) {
      try {
        reports.push(await this.flushIndex(dirtyKey, deadlineMs, onFlushed));
      } catch (error) {
        // The other indexes may be on other servers, if it is a cluster.
        if (!(error instanceof RedisUnavailableError)) throw error;
        failure = error;
      }
    }
    if (failure !== undefined && reports.length === 0) throw failure;
    const report = {
      flushed: sum(reports.map(({ flushed }) => flushed)),
      failed: sum(reports.map(({ failed }) => failed)),
      complete: failure === undefined && reports.every(({ complete }) => complete),
      oldestUnsyncedMs: Math.max(...reports.map(({ oldestUnsyncedMs }) => oldestUnsyncedMs)),
    };
    this.logs.quotasSynced(report);
    if (failure !== undefined) throw failure;
    return report;
  }

  private async flushIndex(
    dirtyKey: string,
    deadlineMs: number,
    onFlushed: (providers: number) => void,
  ): Promise<SyncReport> {
    const untilMs = await this.redisStore.nowMs(dirtyKey);
    let flushed = 0;
    let failed = 0;
    let oldestSinceMs = untilMs;
    let complete = true;
    // A provider that failed, or was used again and again meanwhile, is passed over until the next sync.
    const visited = new Set<string>();
    let passedOver = 0;
    for (;;) {
      const page = await this.redisStore.dirtyProviders(dirtyKey, {
        untilMs,
        offset: passedOver,
        count: PAGE,
      });
      if (page.length === 0) break;
      const due = page.filter(({ providerId }) => !visited.has(providerId));
      passedOver += page.length - due.length;
      if (due.length === 0) continue;
      if (Date.now() >= deadlineMs) {
        complete = false;
        oldestSinceMs = Math.min(oldestSinceMs, due[0]!.sinceMs);
        break;
      }
      const providerIds = due.map(({ providerId }) => providerId);
      const failures = await this.flush(providerIds, deadlineMs);
      for (const { providerId, sinceMs } of due) {
        visited.add(providerId);
        if (failures.has(providerId)) oldestSinceMs = Math.min(oldestSinceMs, sinceMs);
      }
      failed += failures.size;
      flushed += due.length - failures.size;
      onFlushed(due.length);
    }
    return { flushed, failed, complete, oldestUnsyncedMs: untilMs - oldestSinceMs };
  }

  /**
   * What Firestore lacks now.
   *
   * @throws RedisUnavailableError
   */
  async unsynced(): Promise<Unsynced> {
    const { providers, oldestMs } = await this.redisStore.dirty();
    return { pendingProviders: providers, oldestPendingMs: Math.max(0, oldestMs) };
  }

  /** {@link unsynced}, or null if Redis gives no answer. */
  async unsyncedIfKnown(): Promise<Unsynced | null> {
    try {
      return await this.unsynced();
    } catch (error) {
      if (error instanceof RedisUnavailableError) return null;
      throw error;
    }
  }

  /**
   * Compares about `count` entries with their documents, each a billed read, and brings up to date those that have
   * missed a change. It goes on where the last comparison ended, and ends when it has been through all entries; or
   * earlier, rather than search long, where they are few among many other keys. Usage that is in none of the indexes by
   * which a sync finds it, as Redis may have evicted one, is brought over here.
   *
   * @param onProgress is told how many were compared so far
   * @throws RedisUnavailableError, FirestoreUnavailableError
   */
  async reconcile(count: number, onProgress?: (compared: number) => void): Promise<Reconciliation> {
    let compared = 0;
    let drifted = 0;
    for (let ends = 0; compared < count && ends < 2;) {
      const due = Math.min(count - compared, COMPARED_AT_ONCE);
      const { entries, fromStart, toEnd, cutShort } = await this.redisStore.sample(due);
      drifted += await this.correct(entries);
      compared += entries.length;
      onProgress?.(compared);
      if (cutShort) break;
      // A walk that began in the middle goes on from the start.
      if (toEnd) ends += fromStart ? 2 : 1;
    }
    const report = { compared, drifted };
    this.logs.quotasReconciled(report);
    return report;
  }

  private async correct(entries: QuotaSample["entries"]): Promise<number> {
    const stranded = entries.filter(({ isStranded }) => isStranded).map(({ providerId }) => providerId);
    // What one round leaves is in the index again, where the next sync finds it.
    await this.flush(stranded, Date.now());
    const documents = await this.firestoreStore.readMany(entries.map(({ providerId }) => providerId));
    let drifted = 0;
    for (const [i, { providerId, version }] of entries.entries()) {
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
    return drifted;
  }

  /**
   * Brings all usage of some providers to Firestore. Returns the error of each provider whose flush failed. A flush that
   * another sync began is ended first, then what has been counted since is flushed, in a new round. From the deadline
   * (Unix time, milliseconds) on no new round begins; the first one always does.
   *
   * @throws RedisUnavailableError
   */
  async flush(providerIds: readonly string[], deadlineMs = Infinity): Promise<Map<string, Error>> {
    const failures = new Map<string, Error>();
    const lastStartMs = Math.min(deadlineMs, Date.now() + NEW_ROUNDS_MS);
    let due = providerIds;
    for (let round = 0; round < MAX_ROUNDS && due.length > 0; round++) {
      if (round > 0 && Date.now() >= lastStartMs) break;
      const flushes = await this.redisStore.beginFlushes(due);
      if (flushes.length === 0) break;
      const outcomes = await this.firestoreStore.commitFlushes(flushes);
      await Promise.all(
        outcomes.map(async (outcome, i) => {
          const { providerId } = flushes[i]!;
          if (outcome instanceof Error) {
            failures.set(providerId, outcome);
            this.logs.flushFailed(providerId, outcome);
          } else {
            // The snapshot contains the flush id, so that applying it also ends the flush.
            await this.redisStore.apply(providerId, outcome);
          }
        }),
      );
      due = flushes.map(({ providerId }) => providerId).filter((providerId) => !failures.has(providerId));
    }
    return failures;
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((one, other) => one + other, 0);
}
