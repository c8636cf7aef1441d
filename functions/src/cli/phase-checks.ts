import { PARAM_SPECS, type ParamValues } from "../config/param-specs";
import type { Services } from "../services";
import type { Diagnosis } from "./doctor";
import { byHand, fail, pass, warn, type Finding } from "./finding";

/** Checks that are asked as callers ask them. */
const CALLS = 200;

/** As in monitoring/alerts/quota-fallbacks.json. */
const MAX_FALLBACKS = 0.05;

/** A change has reached Redis by then, or its event is lost or late. */
const PROBE_TIMEOUT_MS = 10_000;

const MINUTE_MS = 60_000;
const UNIT_MS = { minute: MINUTE_MS, hour: 60 * MINUTE_MS, day: 24 * 60 * MINUTE_MS } as const;

/** What a phase's checks are to be made with. */
export interface CheckOptions {
  readonly params: ParamValues;
  /** Entries that are compared with their documents, one billed read each. */
  readonly compare: number;
  /** Whether a document may be touched to see its change arrive. */
  readonly probe: boolean;
  readonly withoutBackfill: boolean;
  readonly onProgress: (compared: number) => void;
}

type Checkable = Required<Pick<Diagnosis, "services" | "providerIds">>;

/** What has to hold before Redis decides; that it may, the doctor's checks say. */
export async function checkDualWrite(
  { services, providerIds }: Checkable,
  options: CheckOptions,
): Promise<Finding[]> {
  return [
    await checkBackfill(services, options),
    await checkDrift(services, options),
    await checkMirror(services, providerIds[0], options),
    await checkTraffic(services, providerIds),
    await checkNothingPending(
      services,
      "Usage of the mode redis-primary, or of instances that are still in it: run sync.",
    ),
  ];
}

/** What has to hold before the rest is cleaned up. */
export async function checkRedisPrimary(
  { services, providerIds }: Checkable,
  options: CheckOptions,
): Promise<Finding[]> {
  return [
    await checkDrift(services, options),
    await checkMirror(services, providerIds[0], options),
    await checkTraffic(services, providerIds),
    await checkPendingAge(services, options.params),
  ];
}

/** What is left to be done at the end. */
export async function checkCleanup({ services }: Checkable, params: ParamValues): Promise<Finding[]> {
  // Not Redis's keyspace_hits: those count all keys, and whatever else uses the server.
  const counted = (await services.sharedCounts.recentIfKnown()) ?? { hits: 0, misses: 0 };
  const asked = counted.hits + counted.misses;
  const share = asked === 0 ? 1 : counted.hits / asked;
  const hits =
    asked === 0
      ? "no quotas counted in this hour and the one before"
      : `${(100 * share).toFixed(1)} % of ${asked} quota checks and consumptions found their entry`;
  const ttl = params.QUOTA_TTL_SECONDS || PARAM_SPECS.QUOTA_TTL_SECONDS.default;
  const backfill = params.BACKFILL_ON_INSTALL;
  const { RATE_LIMIT_POLICIES: policies, RATE_LIMIT_POLICY_COLLECTION: collection } = params;
  return [
    (policies || "[]") !== "[]" || collection
      ? pass("rate limits", "there are policies")
      : warn(
          "rate limits",
          "no policies",
          "Move rate limits to Redis: RATE_LIMIT_POLICIES (docs/rate-limits.md).",
        ),
    share < 0.9
      ? warn(
          "hit rate",
          `${hits}; QUOTA_TTL_SECONDS is ${ttl}`,
          "A longer QUOTA_TTL_SECONDS keeps more of them.",
        )
      : pass("hit rate", `${hits}; QUOTA_TTL_SECONDS is ${ttl}`),
    backfill === "true"
      ? warn(
          "backfill",
          "BACKFILL_ON_INSTALL is true",
          "Set it to false: each deployment reads all documents again.",
        )
      : pass("backfill", "not with each deployment"),
  ];
}

/** That nothing waits for Firestore, which is to decide. */
export async function checkNothingPending({ quotaSync }: Services, todo: string): Promise<Finding> {
  const { pendingProviders, oldestPendingMs } = await quotaSync.unsynced();
  return pendingProviders === 0
    ? pass("pending", "Redis holds no usage that Firestore lacks")
    : fail(
        "pending",
        `${pendingProviders} providers have usage that Firestore lacks, for ${seconds(oldestPendingMs)}`,
        todo,
      );
}

async function checkBackfill(
  { quotaInspector }: Services,
  { withoutBackfill }: CheckOptions,
): Promise<Finding> {
  const record = await quotaInspector.lastBackfill();
  if (record === undefined)
    return (withoutBackfill ? warn : fail)(
      "backfill",
      "Redis knows of none since it has its data",
      "Run backfill, or this with --without-backfill: each provider is then read when it is first asked for.",
    );
  const { endedAtMs, documents, mirrored, invalid } = record;
  const found = `${mirrored} of ${documents} documents, ended ${new Date(endedAtMs).toISOString()}`;
  if (invalid > 0)
    return fail(
      "backfill",
      `${found}; ${invalid} hold no valid quota`,
      "Correct them (quota_document_invalid), and run backfill.",
    );
  return pass("backfill", found);
}

async function checkDrift(
  { quotaSync }: Services,
  { params, compare, onProgress }: CheckOptions,
): Promise<Finding> {
  const { compared, drifted } = await quotaSync.reconcile(compare, onProgress);
  if (drifted > 0)
    return fail(
      "drift",
      `${drifted} of ${compared} entries had missed a change, and are up to date now`,
      "See why in the log of mirrorQuota; then run this again.",
    );
  if (compared === 0)
    return (params.MODE === "redis-primary" ? warn : fail)(
      "drift",
      "Redis holds no entry to compare",
      "Are the functions deployed, and called? Run backfill, and this before its entries expire (QUOTA_TTL_SECONDS).",
    );
  return pass("drift", `none in ${compared} entries that were compared with Firestore`);
}

async function checkMirror(
  { quotaInspector }: Services,
  providerId: string | undefined,
  { probe }: CheckOptions,
): Promise<Finding> {
  if (!probe || providerId === undefined)
    return byHand(
      "mirror",
      "not tried",
      "--probe changes _quotaSync.probedAt of a document, and sees whether Redis is told.",
    );
  const lagMs = await quotaInspector.probeMirror(providerId, PROBE_TIMEOUT_MS);
  return lagMs === undefined
    ? fail(
        "mirror",
        `a change of ${providerId} has not reached Redis in ${seconds(PROBE_TIMEOUT_MS)}`,
        "Is mirrorQuota deployed, with this MODE, KEY_PREFIX and QUOTA_COLLECTION_PATH? See its log.",
      )
    : pass("mirror", `a change of ${providerId} reached Redis in ${Math.round(lagMs)} ms`);
}

/** Checks quotas as the functions do, and sees who answers. */
async function checkTraffic({ quotaService }: Services, providerIds: readonly string[]): Promise<Finding> {
  if (providerIds.length === 0)
    return warn("answers", "no provider to ask for", "Check QUOTA_COLLECTION_PATH.");
  const times: number[] = [];
  let byRedis = 0;
  for (let i = 0; i < CALLS; i++) {
    const startedMs = performance.now();
    const { source } = await quotaService.check(providerIds[i % providerIds.length]!);
    times.push(performance.now() - startedMs);
    if (source === "redis") byRedis++;
  }
  times.sort((a, b) => a - b);
  // The first check of a provider may find nothing in Redis yet.
  const due = CALLS - providerIds.length;
  const fallbacks = Math.max(0, due - byRedis) / due;
  const found =
    `${byRedis} of ${CALLS} checks from here by Redis, ` +
    `p50 ${times[CALLS / 2]!.toFixed(1)} ms, p99 ${times[Math.ceil(0.99 * CALLS) - 1]!.toFixed(1)} ms`;
  if (fallbacks > MAX_FALLBACKS)
    return fail("answers", found, "See what doctor says of Redis, and its latency.");
  if (fallbacks > 0) return warn("answers", found, "Some were answered by Firestore: see Redis's latency.");
  return pass("answers", found);
}

/** That syncs keep up: two of them may pass until usage is in Firestore. */
async function checkPendingAge({ quotaSync }: Services, { SYNC_SCHEDULE }: ParamValues): Promise<Finding> {
  const { pendingProviders, oldestPendingMs } = await quotaSync.unsynced();
  const schedule = SYNC_SCHEDULE || PARAM_SPECS.SYNC_SCHEDULE.default;
  const intervalMs = intervalOf(schedule);
  const found = `${pendingProviders} providers, the oldest usage is ${seconds(oldestPendingMs)} old; ${schedule}`;
  if (intervalMs === undefined)
    return byHand(
      "pending",
      found,
      "Is it younger than two intervals of SYNC_SCHEDULE? Else see the log of syncQuotas.",
    );
  return oldestPendingMs <= 2 * intervalMs + MINUTE_MS
    ? pass("pending", found)
    : fail("pending", found, "See the log of syncQuotas (flush_failed), and run sync.");
}

/** The interval of a schedule such as "every 5 minutes"; undefined for cron fields. */
export function intervalOf(schedule: string): number | undefined {
  const [, count = "1", unit] = /^every (?:(\d+) )?(minute|hour|day)s?$/.exec(schedule) ?? [];
  return unit === undefined ? undefined : Number(count) * UNIT_MS[unit as keyof typeof UNIT_MS];
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`;
}
