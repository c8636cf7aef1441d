import type { Logs } from "../observability/logs";
import type { Metrics } from "../observability/metrics";
import { RedisUnavailableError } from "../redis/connection";
import { CALLERS_NAME } from "../validation";
import type { Decision } from "./decision";
import { InvalidRateLimitCallError } from "./invalid-call";
import { InlineLimits, type InlineLimit } from "./inline-limit";
import { quotaWindowMs, type SubjectLimits } from "./limit-algorithms";
import { clientIp, type HttpRequest, type Network } from "./ip-address";
import { countedAs, limitsOf, type Policy } from "./policy";
import type { PoliciesByName, PolicySource } from "./policy-source";
import type { RateLimitStore, Referee, SharedRateLimitStore } from "./rate-limit-store";
import { SUBJECT } from "./subject";

export interface CheckOptions {
  /** What the request counts for: a positive integer; 1 unless told. */
  readonly cost?: number;
  /** Decide without counting. */
  readonly peek?: boolean;
}

/** A policy by its name, or a limit in its place. */
export type PolicyOrLimit = string | InlineLimit;

/** After this time a caller refused by `closed` may try again. */
const CLOSED_RETRY_AFTER_MS = 1000;

/** Further ahead a block may not end; as the longest window. */
const MAX_BLOCK_MS = 366 * 24 * 60 * 60 * 1000;

/**
 * Decides requests by named policies or inline limits. Every method throws InvalidArgumentError for an invalid policy,
 * limit, subject or cost.
 */
export class RateLimiter {
  /** The store settles the promise that a caller has: one more for each decision would cost a tenth of its time. */
  private readonly referee: Referee = {
    decided: ({ policy }, { peek }, source, allowed, refused) => {
      if (!peek) this.metrics.decided(policy, source, allowed, refused);
    },
    decideInstead: async (limits, subject, request, error) => {
      if (!(error instanceof RedisUnavailableError)) throw error;
      const { policy, onRedisFailure } = limits;
      this.logs.rateLimitFallback(policy, onRedisFailure, error);
      const decision =
        onRedisFailure === "local" || refusesAll(limits, this.now())
          ? await this.local.take(limits, subject, request)
          : withoutStore(limits, onRedisFailure, this.now());
      const { source, allowed } = decision;
      this.referee.decided(limits, request, source, Number(allowed), Number(!allowed));
      return decision;
    },
  };

  private readonly inlineLimits = new InlineLimits();

  constructor(
    private readonly source: PolicySource,
    private readonly shared: SharedRateLimitStore,
    private readonly local: RateLimitStore,
    private readonly logs: Logs,
    private readonly metrics: Pick<Metrics, "decided">,
    private readonly trustedProxies: readonly Network[] = [],
    private readonly now: () => number = () => Date.now(),
  ) {}

  /** The IP address of the client that sent a request, see {@link clientIp}. */
  clientIp(request: HttpRequest): string | undefined {
    return clientIp(request, this.trustedProxies);
  }

  async policy(policy: PolicyOrLimit): Promise<Policy> {
    return this.find(policy);
  }

  /**
   * Decides one request, and counts it if it is allowed and no peek; a refused request is not counted. When Redis gives
   * no answer the policy's `onRedisFailure` decides: never throws for that.
   */
  check(policy: PolicyOrLimit, subject: string, options?: CheckOptions): Promise<Decision> {
    let found: Policy | Promise<Policy>;
    try {
      found = this.find(policy);
    } catch (error) {
      return Promise.reject(error as Error);
    }
    // Nothing is awaited that is at hand: each await costs a decision a tenth of its time.
    return found instanceof Promise
      ? found.then((policy) => this.decide(policy, subject, options))
      : this.decide(found, subject, options);
  }

  private find(policy: PolicyOrLimit): Policy | Promise<Policy> {
    if (typeof policy === "object" && policy !== null) return this.inlineLimits.policyOf(policy);
    const policies = this.source.policies();
    return policies instanceof Map
      ? policyNamed(policies, policy)
      : Promise.resolve(policies).then((known) => policyNamed(known, policy));
  }

  /** {@link check} by a policy at hand. */
  decide(policy: Policy, subject: string, { cost = 1, peek = false }: CheckOptions = {}): Promise<Decision> {
    let counted: string;
    let limits: SubjectLimits;
    try {
      counted = requireSubject(policy, subject);
      limits = limitsOf(policy, counted);
      requireCost(limits, cost);
      if (typeof peek !== "boolean") throw new InvalidRateLimitCallError("peek", peek, "true or false");
    } catch (error) {
      return Promise.reject(error as Error);
    }
    return this.shared.take(limits, counted, { cost, peek }, this.referee);
  }

  /**
   * Takes back a cost that was charged, as far as it still counts: of a window that has ended nothing does.
   *
   * @throws RedisUnavailableError if Redis gave no answer; its `outcome` says whether it may have been done.
   */
  async refund(
    policy: PolicyOrLimit,
    subject: string,
    { cost = 1 }: { readonly cost?: number } = {},
  ): Promise<void> {
    const found = await this.find(policy);
    const counted = requireSubject(found, subject);
    const limits = limitsOf(found, counted);
    requireCost(limits, cost);
    await this.both((store) => store.refund(limits, counted, cost));
  }

  /**
   * Forgets what a subject was charged under a policy, and ends a block of it.
   *
   * @throws RedisUnavailableError if Redis gave no answer; safe to repeat.
   */
  async reset(policy: PolicyOrLimit, subject: string): Promise<void> {
    const found = await this.find(policy);
    const counted = requireSubject(found, subject);
    await this.both((store) => store.reset(limitsOf(found, counted), counted));
  }

  /**
   * Refuses everything that a subject asks for under a policy until a time; a time that has passed ends the block.
   *
   * @param untilMs Unix time in milliseconds, at most 366 days ahead
   * @throws RedisUnavailableError if Redis gave no answer; safe to repeat.
   */
  async block(policy: PolicyOrLimit, subject: string, untilMs: number): Promise<void> {
    const found = await this.find(policy);
    const counted = requireSubject(found, subject);
    if (!(typeof untilMs === "number" && untilMs >= 0 && untilMs <= this.now() + MAX_BLOCK_MS))
      throw new InvalidRateLimitCallError(
        "untilMs",
        untilMs,
        "a Unix time in milliseconds, at most 366 days ahead",
      );
    await this.both((store) => store.block(limitsOf(found, counted), counted, untilMs));
  }

  /** The local counts are changed too, as they may be asked next. */
  private async both(change: (store: RateLimitStore) => Promise<void>): Promise<void> {
    await change(this.local);
    await change(this.shared);
  }
}

/** @throws InvalidPolicies, InvalidRateLimitCallError */
function policyNamed(policies: PoliciesByName, name: string): Policy {
  const policy = policies.get(name);
  if (policy instanceof Error) throw policy;
  if (policy !== undefined) return policy;
  const expected = typeof name === "string" ? "the name of a policy" : "the name of a policy, or a limit";
  throw new InvalidRateLimitCallError("policy", name, expected);
}

/** The name under which a policy counts a subject. */
function requireSubject({ subnets }: Policy, subject: string): string {
  if (typeof subject !== "string" || !CALLERS_NAME.test(subject)) {
    throw new InvalidRateLimitCallError("subject", subject, SUBJECT);
  }
  return countedAs(subject, subnets);
}

function requireCost({ policy, counts, limits }: SubjectLimits, cost: number): void {
  if (!Number.isSafeInteger(cost) || cost < 1)
    throw new InvalidRateLimitCallError("cost", cost, "a whole number, 1 or more");
  for (const { capacity } of limits) {
    if (cost > capacity && !limits.some((each) => each.capacity === 0)) {
      const owner = counts === policy ? `the policy ${policy}` : "the limit";
      const expected = `at most ${capacity}, the most that ${owner} ever allows at once`;
      throw new InvalidRateLimitCallError("cost", cost, expected);
    }
  }
}

/** Who is blocked by the policy itself is blocked whether Redis answers or not. */
function refusesAll({ limits, blockedUntilMs }: SubjectLimits, nowMs: number): boolean {
  return blockedUntilMs > nowMs || limits.some(({ capacity }) => capacity === 0);
}

function withoutStore({ limits }: SubjectLimits, source: "open" | "closed", nowMs: number): Decision {
  const allowed = source === "open";
  const retryAfterMs = allowed ? 0 : CLOSED_RETRY_AFTER_MS;
  const least = limits.reduce((one, other) => (other.capacity < one.capacity ? other : one));
  const limit = least.capacity;
  return {
    allowed,
    limit,
    windowMs: quotaWindowMs(least),
    remaining: allowed ? limit : 0,
    retryAfterMs,
    resetAtMs: nowMs + retryAfterMs,
    resetAfterMs: retryAfterMs,
    reason: "redis-unavailable",
    source,
  };
}
