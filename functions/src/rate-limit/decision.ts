import {
  blockedUntilMs,
  charge,
  limitState,
  room,
  type LimitState,
  type RateLimitEntry,
  type SubjectLimits,
} from "./limit-algorithms";

/**
 * The answer to a request. `limit`, `windowMs`, `remaining` and `resetAtMs` (Unix time, milliseconds) are those of the policy's
 * limit that binds first; `retryAfterMs` is 0 when allowed. `reason` keeps a reached limit apart from a block and from
 * a store that failed; `source` says who decided: Redis, this process, or the policy's setting `open` or `closed`.
 */
export interface Decision {
  readonly allowed: boolean;
  /** Cost allowed at once: of a token bucket its burst, else the limit. */
  readonly limit: number;
  /** In how long so much is allowed, milliseconds: the window, or the time in which a token bucket fills. */
  readonly windowMs: number;
  /** Cost left of it, after this request if it was counted. */
  readonly remaining: number;
  readonly retryAfterMs: number;
  /** When the window ends, or the bucket is full again. */
  readonly resetAtMs: number;
  /** `resetAtMs` as milliseconds from the decision, by the clock that made it. */
  readonly resetAfterMs: number;
  readonly reason: "within-limit" | "limit-reached" | "blocked" | "redis-unavailable";
  readonly source: "redis" | "local" | "open" | "closed";
}

/** One request against a policy. `cost` is a positive integer; a `peek` is decided but never counted. */
export interface RateLimitRequest {
  readonly cost: number;
  readonly peek: boolean;
}

/** Decides a request by an entry that was brought to `nowMs`, and charges it to the entry if it is allowed and no peek. */
export function decide(
  limits: SubjectLimits,
  entry: RateLimitEntry,
  { cost, peek }: RateLimitRequest,
  nowMs: number,
  source: "redis" | "local",
): Decision {
  const allowed = room(limits, entry, nowMs) >= cost;
  if (allowed && !peek) charge(limits, entry, cost);
  let binding: LimitState | undefined;
  for (let i = 0; i < limits.limits.length; i++) {
    const state = limitState(limits, entry, i, allowed ? 0 : cost, nowMs);
    if (binding === undefined || bindsBefore(state, binding, allowed)) binding = state;
  }
  const { limit, windowMs, remaining, waitMs, resetAtMs } = binding!;
  const blockedMs = allowed ? 0 : Math.max(0, blockedUntilMs(limits, entry) - nowMs);
  const resetAfterMs = Math.max(resetAtMs - nowMs, blockedMs);
  return {
    allowed,
    limit,
    windowMs,
    remaining: blockedMs > 0 ? 0 : remaining,
    retryAfterMs: Math.max(blockedMs, waitMs),
    resetAtMs: nowMs + resetAfterMs,
    resetAfterMs,
    reason: allowed ? "within-limit" : blockedMs > 0 ? "blocked" : "limit-reached",
    source,
  };
}

function bindsBefore(one: LimitState, other: LimitState, allowed: boolean): boolean {
  return allowed ? one.remaining < other.remaining : one.waitMs > other.waitMs;
}
