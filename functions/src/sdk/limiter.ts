import type { Decision } from "../rate-limit/decision";
import { InvalidRateLimitCallError } from "../rate-limit/invalid-call";
import { isPolicy } from "../rate-limit/policy";
import type { CheckOptions, PolicyOrLimit, RateLimiter } from "../rate-limit/rate-limiter";
import { refusedByRateLimit } from "../handlers/https-errors";
import { readOptions } from "../validation";
import type { LoadHttps } from "./load-https";

/** Rate limits by named policies, or by limits that the call itself has. */
export interface Limiter extends Pick<
  RateLimiter,
  "policy" | "check" | "clientIp" | "decide" | "refund" | "reset" | "block"
> {
  /**
   * Decides and counts one request as `check` does, and throws where it is refused.
   *
   * @throws HttpsError `resource-exhausted` with the decision as its details; `unavailable` if Redis gave no answer and
   * the policy's `onRedisFailure` is `closed`.
   *
   * @example
   * await limiter.enforce("ai-chat", request.auth.uid);
   * await limiter.enforce({ limit: 10, window: "1 m" }, `translate:${request.auth.uid}`);
   */
  enforce(policy: PolicyOrLimit, subject: string, options?: CheckOptions): Promise<Decision>;
}

const CHECK_OPTIONS = ["cost", "peek"] as const;

/** @param rateLimiter that of the first call; what it throws, every call rejects with */
export function createLimiter(rateLimiter: () => RateLimiter, loadHttps: LoadHttps): Limiter {
  return {
    policy: async (policy) => rateLimiter().policy(policy),
    check: async (policy, subject, options) =>
      rateLimiter().check(policy, subject, readOptions(options, CHECK_OPTIONS)),
    decide: async (policy, subject, options) => {
      if (!isPolicy(policy))
        throw new InvalidRateLimitCallError("policy", policy, "a policy of limiter.policy");
      return rateLimiter().decide(policy, subject, readOptions(options, CHECK_OPTIONS));
    },
    refund: async (policy, subject, options) =>
      rateLimiter().refund(policy, subject, readOptions(options, ["cost"])),
    clientIp: (request) => rateLimiter().clientIp(request),
    reset: async (...call) => rateLimiter().reset(...call),
    block: async (...call) => rateLimiter().block(...call),
    enforce: async (policy, subject, options) => {
      const decision = await rateLimiter().check(policy, subject, readOptions(options, CHECK_OPTIONS));
      return requireAllowed(decision, loadHttps);
    },
  };
}

/** @throws HttpsError for a decision that refuses, as {@link Limiter.enforce} */
export async function requireAllowed(decision: Decision, loadHttps: LoadHttps): Promise<Decision> {
  if (decision.allowed) return decision;
  throw refusedByRateLimit(decision, (await loadHttps()).HttpsError);
}
