import type { Logs } from "../observability/logs";
import { RedisUnavailableError } from "../redis/connection";
import { show } from "../validation";
import type { Policy } from "./policy";
import type { RateLimitStore, TakeOutcome, TakeRequest } from "./rate-limit-store";

/**
 * The answer to a request. `limit`, `remaining` and `resetAtMs` (Unix time, milliseconds) are those of the policy's
 * limit that binds first; `retryAfterMs` is 0 when allowed. `reason` keeps a reached limit apart from a store that
 * failed; `source` says who decided: Redis, this process, or the policy's setting `open` or `closed`.
 */
export interface Decision {
  readonly allowed: boolean;
  readonly limit: number;
  readonly remaining: number;
  readonly retryAfterMs: number;
  readonly resetAtMs: number;
  readonly reason: "within-limit" | "limit-reached" | "redis-unavailable";
  readonly source: "redis" | "local" | "open" | "closed";
}

/** No policy has this name. */
export class UnknownPolicyError extends Error {
  override readonly name = "UnknownPolicyError";
  readonly code = "invalid-argument";
  readonly field = "policy";

  constructor(policy: string) {
    super(`policy: got ${show(policy)}; expected the name of a policy in RATE_LIMIT_POLICIES`);
  }
}

/** A cost above the limit, which no wait could allow. */
export class CostAboveLimitError extends Error {
  override readonly name = "CostAboveLimitError";
  readonly code = "invalid-argument";
  readonly field = "cost";

  constructor(policy: Policy, cost: number, limit: number) {
    super(`cost: got ${cost}; expected at most ${limit}, a limit of the policy ${policy.name}`);
  }
}

/** After this time a caller refused by `closed` may try again. */
const CLOSED_RETRY_AFTER_MS = 1000;

/** Decides requests by named policies. */
export class RateLimiter {
  private readonly policies: ReadonlyMap<string, Policy>;

  constructor(
    policies: readonly Policy[],
    private readonly shared: RateLimitStore,
    private readonly local: RateLimitStore,
    private readonly logs: Logs,
  ) {
    this.policies = new Map(policies.map((policy) => [policy.name, policy]));
  }

  /** @throws UnknownPolicyError */
  policy(name: string): Policy {
    const policy = this.policies.get(name);
    if (policy === undefined) throw new UnknownPolicyError(name);
    return policy;
  }

  /**
   * Decides one request, and counts it if it is allowed and no peek; a refused request is not counted. When Redis gives
   * no answer the policy's `onRedisFailure` decides.
   *
   * @throws CostAboveLimitError
   */
  async decide(policy: Policy, request: TakeRequest): Promise<Decision> {
    const smallest = Math.min(...policy.limits.map(({ limit }) => limit));
    if (request.cost > smallest && smallest > 0)
      throw new CostAboveLimitError(policy, request.cost, smallest);
    try {
      return toDecision(policy, request, await this.shared.take(policy, request), "redis");
    } catch (error) {
      if (!(error instanceof RedisUnavailableError)) throw error;
      this.logs.rateLimitFallback(policy.name, policy.onRedisFailure, error);
      return this.decideWithoutRedis(policy, request);
    }
  }

  private async decideWithoutRedis(policy: Policy, request: TakeRequest): Promise<Decision> {
    if (policy.onRedisFailure === "local") {
      return toDecision(policy, request, await this.local.take(policy, request), "local");
    }
    const allowed = policy.onRedisFailure === "open";
    const retryAfterMs = allowed ? 0 : CLOSED_RETRY_AFTER_MS;
    const limit = Math.min(...policy.limits.map((each) => each.limit));
    return {
      allowed,
      limit,
      remaining: allowed ? limit : 0,
      retryAfterMs,
      resetAtMs: Date.now() + retryAfterMs,
      reason: "redis-unavailable",
      source: policy.onRedisFailure,
    };
  }
}

function toDecision(
  policy: Policy,
  request: TakeRequest,
  { allowed, nowMs, windows }: TakeOutcome,
  source: "redis" | "local",
): Decision {
  const states = windows.map(({ count, endsAtMs }, i) => {
    const { limit } = policy.limits[i]!;
    return { limit, remaining: Math.max(0, limit - count), endsAtMs };
  });
  const binding = allowed
    ? states.reduce((least, state) => (state.remaining < least.remaining ? state : least))
    : states
        .filter(({ remaining }) => remaining < request.cost)
        .reduce((last, state) => (state.endsAtMs > last.endsAtMs ? state : last));
  return {
    allowed,
    limit: binding.limit,
    remaining: binding.remaining,
    retryAfterMs: allowed ? 0 : Math.max(1, binding.endsAtMs - nowMs),
    resetAtMs: binding.endsAtMs,
    reason: allowed ? "within-limit" : "limit-reached",
    source,
  };
}
