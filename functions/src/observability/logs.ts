import { createHash } from "node:crypto";

import type { MetricCounts } from "./counters";
import type { Unsynced } from "./metrics";

/** Where log entries go: `firebase-functions/logger`'s `write` in a function, anything in a test. */
export type LogSink = (entry: {
  readonly severity: "DEBUG" | "INFO" | "WARNING" | "ERROR";
  readonly message: string;
  readonly event: string;
  readonly [field: string]: unknown;
}) => void;

/** What happens at each request during an outage is logged at most this often, with how often it happened. */
const SUMMARY_INTERVAL_MS = 10_000;

/**
 * Every message that this product logs, one function each; `event` is the stable name to filter and count by. What the
 * sink throws fails nothing.
 */
export function createLogs(sink: LogSink, now: () => number = Date.now) {
  const write = guarded(sink);
  const summarise = summariser(write, now);
  return {
    redisUnreachable(address: string, error: Error): void {
      write({
        severity: "ERROR",
        event: "redis_unreachable",
        message: `Redis at ${address} cannot be reached; answers come from the fallback until it can.`,
        error: error.message,
      });
    },

    redisReachableAgain(address: string): void {
      write({
        severity: "INFO",
        event: "redis_reachable_again",
        message: `Redis at ${address} can be reached again.`,
      });
    },

    redisCircuitOpened(address: string): void {
      write({
        severity: "WARNING",
        event: "redis_circuit_opened",
        message: `Redis at ${address} answers too late; answers come from the fallback at once until it does again.`,
      });
    },

    redisCircuitClosed(address: string): void {
      write({
        severity: "INFO",
        event: "redis_circuit_closed",
        message: `Redis at ${address} answers in time again.`,
      });
    },

    redisCredentialsRenewed(address: string): void {
      write({
        severity: "INFO",
        event: "redis_credentials_renewed",
        message: `Secret Manager has new values for the connection to Redis at ${address}; it is opened anew with them.`,
      });
    },

    secretsUnavailable(error: Error): void {
      summarise({
        severity: "ERROR",
        event: "secrets_unavailable",
        message:
          "Secret Manager gave no valid values for the connection to Redis; those known last stay in use.",
        error: error.message,
      });
    },

    quotaCacheBypassed(providerId: string, error: Error): void {
      summarise({
        severity: "WARNING",
        event: "quota_cache_bypassed",
        message: "A quota was answered from Firestore because Redis gave no answer.",
        providerId,
        error: error.message,
      });
    },

    installationConflict(error: Error): void {
      summarise({
        severity: "ERROR",
        event: "installation_conflict",
        message:
          "KEY_PREFIX or the collection was changed while Redis counts usage; quota calls, mirroring and syncs fail.",
        error: error.message,
      });
    },

    redisClockAhead(providerId?: string): void {
      summarise({
        severity: "WARNING",
        event: "redis_clock_ahead",
        message:
          "What was just read from Firestore was over 60 s old by Redis's clock and was not kept: set that clock.",
        providerId,
      });
    },

    rerunNotClaimed(providerId: string, error: Error): void {
      summarise({
        severity: "WARNING",
        event: "rerun_not_claimed",
        message: "The repeated run of a call with an idempotency key could not be claimed.",
        providerId,
        error: error.message,
      });
    },

    firestoreUnavailable(error: Error): void {
      summarise({
        severity: "ERROR",
        event: "firestore_unavailable",
        message: "Firestore gave no answer.",
        error: error.message,
      });
    },

    rateLimitFallback(policy: string, onRedisFailure: string, error: Error): void {
      summarise({
        severity: "WARNING",
        event: "rate_limit_fallback",
        message: `A rate limit was decided by onRedisFailure (${onRedisFailure}) because Redis gave no answer.`,
        policy,
        error: error.message,
      });
    },

    policyDocumentInvalid(path: string, problems: readonly string[]): void {
      write({
        severity: "ERROR",
        event: "policy_document_invalid",
        message:
          "A rate limit policy document is invalid. Its last valid version, else the policy of RATE_LIMIT_POLICIES, stays in force; with neither, calls fail.",
        document: path,
        problems,
      });
    },

    policyDocumentsUnavailable(collection: string, error: Error): void {
      summarise({
        severity: "WARNING",
        event: "policy_documents_unavailable",
        message: "Rate limit policies cannot be read from Firestore; those known last stay in force.",
        collection,
        error: error.message,
      });
    },

    quotaDocumentInvalid(path: string, problem: string): void {
      write({
        severity: "ERROR",
        event: "quota_document_invalid",
        message:
          "A provider document holds no valid quota. Its entry in Redis was invalidated; checks of it fail until the document is corrected.",
        document: path,
        problem,
      });
    },

    quotaMirrored(providerId: string, outcome: string, lagMs: number): void {
      write({
        severity: "DEBUG",
        event: "quota_mirrored",
        message: "A change of a provider document reached Redis.",
        providerId,
        outcome,
        lagMs,
      });
    },

    sessionCacheBypassed(error: Error): void {
      summarise({
        severity: "WARNING",
        event: "session_cache_bypassed",
        message:
          "A session was answered from Firestore, or not stored in Redis, because Redis gave no answer.",
        error: error.message,
      });
    },

    /** Who has a session's id has the session, so that its hash is logged. */
    sessionDocumentInvalid(sessionId: string, problem: string): void {
      summarise({
        severity: "ERROR",
        event: "session_document_invalid",
        message: "A session's document holds no valid session, and counts as none.",
        sessionIdSha256: createHash("sha256").update(sessionId).digest("hex"),
        problem,
      });
    },

    sessionEntryInvalid(sessionId: string): void {
      summarise({
        severity: "ERROR",
        event: "session_entry_invalid",
        message: "A session in Redis cannot be read, and counts as none.",
        sessionIdSha256: createHash("sha256").update(sessionId).digest("hex"),
      });
    },

    sessionMirrored(outcome: string, lagMs: number): void {
      write({
        severity: "DEBUG",
        event: "session_mirrored",
        message: "A change of a session's document reached Redis.",
        outcome,
        lagMs,
      });
    },

    /** `oldestUnsyncedMs` is the metric to alert on: how long ago the oldest usage was consumed that Firestore lacks. */
    quotasSynced(report: {
      readonly flushed: number;
      readonly failed: number;
      readonly complete: boolean;
      readonly oldestUnsyncedMs: number;
    }): void {
      write({
        severity: report.failed > 0 || !report.complete ? "WARNING" : "INFO",
        event: "quotas_synced",
        message: "Usage was brought from Redis to Firestore.",
        ...report,
      });
    },

    flushFailed(providerId: string, error: Error): void {
      summarise({
        severity: "ERROR",
        event: "flush_failed",
        message:
          "A provider's usage could not be brought to Firestore; it stays in Redis and the next sync tries again.",
        providerId,
        error: error.message,
      });
    },

    backfillPlanned(collection: string, plan: { readonly documents: number; readonly reads: number }): void {
      write({
        severity: "INFO",
        event: "backfill_planned",
        message: `The backfill of ${collection} begins; it is billed as ${plan.reads} document reads.`,
        collection,
        ...plan,
      });
    },

    backfillProgressed(
      progress: { readonly documents: number; readonly mirrored: number; readonly invalid: number },
      done: boolean,
    ): void {
      const { documents, mirrored, invalid } = progress;
      write({
        severity: "INFO",
        event: "backfill_progressed",
        message: done ? "The backfill has ended." : "The backfill goes on.",
        documents,
        mirrored,
        invalid,
        done,
      });
    },

    quotaDrift(
      providerId: string,
      drift: { readonly redisVersion: number; readonly firestoreVersion: number },
    ): void {
      write({
        severity: "WARNING",
        event: "quota_drift",
        message: "Redis had missed a change of a provider document; it was brought up to date.",
        providerId,
        ...drift,
      });
    },

    quotasReconciled(report: { readonly compared: number; readonly drifted: number }): void {
      write({
        severity: "INFO",
        event: "quotas_reconciled",
        message: "A sample of the entries in Redis was compared with Firestore.",
        ...report,
      });
    },

    redisQuotaMetrics(summary: MetricCounts & Partial<Unsynced>): void {
      write({
        severity: "INFO",
        event: "redis_quota_metrics",
        message: "What this instance has counted since the entry before.",
        ...summary,
      });
    },

    configInvalid(problems: readonly { readonly problem: string }[]): void {
      write({
        severity: "ERROR",
        event: "config_invalid",
        message: "The configuration is invalid; calls that need it fail until it is corrected.",
        problems: problems.map(({ problem }) => problem),
      });
    },
  };
}

export type Logs = ReturnType<typeof createLogs>;

function guarded(sink: LogSink): LogSink {
  return (entry) => {
    try {
      sink(entry);
    } catch {
      // There is nowhere to say so.
    }
  };
}

/** Writes an event's first entry at once, then one per interval; `occurrences` counts those since the one before. */
function summariser(write: LogSink, now: () => number): LogSink {
  const seen = new Map<string, { occurrences: number; writtenAtMs: number; seenAtMs: number }>();
  return (entry) => {
    const nowMs = now();
    const before = seen.get(entry.event);
    // What is left of an earlier outage is not counted to this one.
    const goesOn = before !== undefined && nowMs - before.seenAtMs < SUMMARY_INTERVAL_MS;
    const occurrences = (goesOn ? before.occurrences : 0) + 1;
    const due = !goesOn || nowMs - before.writtenAtMs >= SUMMARY_INTERVAL_MS;
    if (due) write({ ...entry, occurrences });
    seen.set(entry.event, {
      occurrences: due ? 0 : occurrences,
      writtenAtMs: due ? nowMs : before.writtenAtMs,
      seenAtMs: nowMs,
    });
  };
}
