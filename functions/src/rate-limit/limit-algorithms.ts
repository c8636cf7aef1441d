export type Algorithm = "fixed-window" | "sliding-window" | "token-bucket";

/** How much may be charged in how long. */
export interface Limit {
  readonly algorithm: Algorithm;
  /** Cost allowed per window; 0 refuses all. */
  readonly limit: number;
  readonly windowMs: number;
  /** Cost allowed at once: of a token bucket its burst, else the limit. */
  readonly capacity: number;
  /** How long what is charged counts at most, in whole windows: of a token bucket until it has drained, else one. */
  readonly spanMs: number;
  /** Resolution of its time, see {@link timeUnitMs}. */
  readonly unitMs: number;
}

/** Costs times windows are counted in doubles: up to here all of it is exact. */
export const MAX_COUNT = 2 ** 52;

/** The largest limit and burst that can be counted exactly: in the coarsest unit that a window is a multiple of. */
export function maxCapacity(algorithm: Algorithm, windowMs: number): number {
  if (algorithm === "fixed-window") return MAX_COUNT;
  let units = windowMs;
  while (units % 10 === 0) units /= 10;
  return Math.floor(MAX_COUNT / units);
}

/**
 * The unit in which the time of a limit is counted: the smallest power of ten milliseconds in which its window, times its
 * limit or capacity, is at most 2^52. A fixed window is one unit, because its parts do not matter.
 *
 * @param limit with numbers up to {@link maxCapacity}
 */
export function timeUnitMs({
  algorithm,
  limit,
  capacity,
  windowMs,
}: Omit<Limit, "spanMs" | "unitMs">): number {
  if (algorithm === "fixed-window") return windowMs;
  let unitMs = 1;
  while (Math.max(limit, capacity) * (windowMs / unitMs) > MAX_COUNT) unitMs *= 10;
  return unitMs;
}

/** Of what kind a limit's counts are: those of another kind cannot go on from them. */
export function shapeOf({ algorithm, windowMs, spanMs, unitMs }: Limit): string {
  const windows = spanMs === windowMs ? "" : `x${spanMs / windowMs}`;
  const unit = algorithm !== "token-bucket" || unitMs === 1 ? "" : `u${unitMs}`;
  return `${algorithm[0]}${windowMs}${windows}${unit}`;
}

/** The limits of one subject under a policy. Objects are compared by identity: alike ones are decided together. */
export interface SubjectLimits {
  /** Name in logs and metrics. */
  readonly policy: string;
  /** Name of the counts. Limits share counts that have the same name and shape. */
  readonly counts: string;
  /** What decides when Redis cannot: the same limits counted in this process, everything allowed, or nothing. */
  readonly onRedisFailure: "local" | "open" | "closed";
  /** Algorithms and windows: entries of another shape are other entries. */
  readonly shape: string;
  /** Unix time in milliseconds; until then everything is refused. */
  readonly blockedUntilMs: number;
  readonly limits: readonly Limit[];
}

/**
 * What is known of one subject under a policy: `blockedUntilMs`, then three numbers for each limit: `time` (Unix ms),
 * `charged` and `before`.
 *
 * - fixed-window: `charged` is the cost in the window that begins at `time`. Windows are aligned to the Unix epoch.
 * - sliding-window: the same, and `before` is the cost in the window before.
 * - token-bucket: `charged` is what has not yet drained at `time`, times the window in units, so that it stays a whole
 *   number.
 */
export type RateLimitEntry = number[];

const HEADER = 1;
const PER_LIMIT = 3;

export function emptyEntry({ limits }: SubjectLimits): RateLimitEntry {
  return new Array<number>(HEADER + PER_LIMIT * limits.length).fill(0);
}

/**
 * Brings an entry to `nowMs`. With {@link room} and {@link charge} the twin of lua/take-limits.lua; one table of cases
 * runs against both. All of it is exact: whole numbers below 2^53.
 *
 * Sources: fixed and sliding windows as in "How we built rate limiting capable of scaling to millions of domains"
 * (Cloudflare, 2017), the rate of the window before being weighted by how much of it is still in the sliding window;
 * the token bucket is the generic cell rate algorithm of ITU-T I.371 (annex A) in its leaky-bucket form.
 */
export function advance({ limits }: SubjectLimits, entry: RateLimitEntry, nowMs: number): void {
  for (let i = 0, at = HEADER; i < limits.length; i++, at += PER_LIMIT) {
    const { algorithm, limit, windowMs, spanMs, unitMs } = limits[i]!;
    // So far ahead only a wrong clock has been, which is since corrected.
    if (entry[at]! > nowMs + spanMs) entry.fill(0, at, at + PER_LIMIT);
    const time = entry[at]!;
    if (algorithm === "token-bucket") {
      const nowInUnitsMs = nowMs - (nowMs % unitMs);
      entry[at] = Math.max(time, nowInUnitsMs);
      entry[at + 1] = Math.max(0, entry[at + 1]! - (Math.max(0, nowInUnitsMs - time) / unitMs) * limit);
      continue;
    }
    const start = nowMs - (nowMs % windowMs);
    // A clock that was set back stays in the next window.
    if (time >= start) continue;
    entry[at + 2] = time === start - windowMs ? entry[at + 1]! : 0;
    entry[at] = start;
    entry[at + 1] = 0;
  }
}

/** The cost that one limit has room for, in an entry that was brought to `nowMs`; below 0 where a limit was lowered. */
function roomOf(limit: Limit, entry: RateLimitEntry, at: number, nowMs: number): number {
  const { algorithm, capacity, windowMs, unitMs } = limit;
  const charged = entry[at + 1]!;
  const window = windowMs / unitMs;
  switch (algorithm) {
    case "fixed-window":
      return capacity - charged;
    case "sliding-window": {
      const weight = window - Math.floor(Math.max(0, nowMs - entry[at]!) / unitMs);
      return Math.floor(((capacity - charged) * window - entry[at + 2]! * weight) / window);
    }
    case "token-bucket":
      return Math.floor((capacity * window - charged) / window);
  }
}

/** The cost that all limits have room for, in an entry that was brought to `nowMs`; 0 while the subject is blocked. */
export function room(limits: SubjectLimits, entry: RateLimitEntry, nowMs: number): number {
  if (blockedUntilMs(limits, entry) > nowMs) return 0;
  let least = Infinity;
  for (let i = 0, at = HEADER; i < limits.limits.length; i++, at += PER_LIMIT)
    least = Math.min(least, roomOf(limits.limits[i]!, entry, at, nowMs));
  return least;
}

/** Charges a cost to all limits of an entry; a negative one refunds. */
export function charge({ limits }: SubjectLimits, entry: RateLimitEntry, cost: number): void {
  for (let i = 0, at = HEADER; i < limits.length; i++, at += PER_LIMIT) {
    const { algorithm, windowMs, unitMs } = limits[i]!;
    const charged = entry[at + 1]! + cost * (algorithm === "token-bucket" ? windowMs / unitMs : 1);
    entry[at + 1] = Math.max(0, charged);
    entry[at + 2] = Math.max(0, entry[at + 2]! + Math.min(0, charged));
  }
}

export function blockedUntilMs(limits: SubjectLimits, entry: RateLimitEntry): number {
  return Math.max(limits.blockedUntilMs, entry[0]!);
}

/** In how long a limit's capacity may be used: its window, or the time in which its bucket fills. */
export function quotaWindowMs({ algorithm, limit, capacity, windowMs, unitMs }: Limit): number {
  if (algorithm !== "token-bucket" || limit === 0) return windowMs;
  return Math.ceil((capacity * (windowMs / unitMs)) / limit) * unitMs;
}

/** What one limit says of a request, in an entry that was brought to `nowMs`. */
export interface LimitState {
  readonly limit: number;
  /** In which `limit` may be used. */
  readonly windowMs: number;
  /** Cost that it has room for. */
  readonly remaining: number;
  /** Milliseconds until it would have room for the request if nothing else were asked for; 0 if it has. */
  readonly waitMs: number;
  /** When its window ends, or its bucket is full again: Unix time in milliseconds. */
  readonly resetAtMs: number;
}

/** @param i of which limit */
export function limitState(
  { limits }: SubjectLimits,
  entry: RateLimitEntry,
  i: number,
  cost: number,
  nowMs: number,
): LimitState {
  const limit = limits[i]!;
  const at = HEADER + PER_LIMIT * i;
  const remaining = roomOf(limit, entry, at, nowMs);
  return {
    limit: limit.capacity,
    windowMs: quotaWindowMs(limit),
    remaining: Math.max(0, remaining),
    waitMs: remaining >= cost ? 0 : Math.max(1, waitMs(limit, entry, at, cost, nowMs)),
    resetAtMs: resetAtMs(limit, entry, at, nowMs),
  };
}

function waitMs(limit: Limit, entry: RateLimitEntry, at: number, cost: number, nowMs: number): number {
  const { algorithm, capacity, windowMs, unitMs } = limit;
  const charged = entry[at + 1]!;
  const window = windowMs / unitMs;
  if (algorithm === "token-bucket") {
    if (cost > capacity) return windowMs;
    return entry[at]! + Math.ceil((charged + (cost - capacity) * window) / limit.limit) * unitMs - nowMs;
  }
  const endMs = entry[at]! + windowMs;
  if (algorithm === "fixed-window" || cost > capacity) return endMs - nowMs;
  // Of what was charged in the window before, so much may still be in the sliding window.
  if (charged + cost <= capacity)
    return endMs - Math.floor(((capacity - charged - cost) * window) / entry[at + 2]!) * unitMs - nowMs;
  return endMs + Math.max(0, window - Math.floor(((capacity - cost) * window) / charged)) * unitMs - nowMs;
}

function resetAtMs(limit: Limit, entry: RateLimitEntry, at: number, nowMs: number): number {
  if (limit.algorithm !== "token-bucket") return entry[at]! + limit.windowMs;
  if (limit.limit === 0) return nowMs + limit.windowMs;
  return Math.max(nowMs, entry[at]! + Math.ceil(entry[at + 1]! / limit.limit) * limit.unitMs);
}

/** Until when an entry is needed that was brought to `nowMs`. */
export function neededUntilMs({ limits }: SubjectLimits, entry: RateLimitEntry, nowMs: number): number {
  let untilMs = entry[0]!;
  for (let i = 0, at = HEADER; i < limits.length; i++, at += PER_LIMIT) {
    const { algorithm, windowMs } = limits[i]!;
    const endMs = resetAtMs(limits[i]!, entry, at, nowMs);
    untilMs = Math.max(untilMs, algorithm === "sliding-window" ? endMs + windowMs : endMs);
  }
  return untilMs;
}
