import type { Decision } from "../rate-limit/decision";
import type { CheckOptions, RateLimiter } from "../rate-limit/rate-limiter";
import { refusedByRateLimit } from "../handlers/https-errors";
import type { LoadHttps } from "./load-https";

/** Rate limits by named policies. */
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
   */
  enforce(policyName: string, subject: string, options?: CheckOptions): Promise<Decision>;
}

/** @param rateLimiter that of the first call; what it throws, every call rejects with */
export function createLimiter(rateLimiter: () => RateLimiter, loadHttps: LoadHttps): Limiter {
  return {
    policy: async (name) => rateLimiter().policy(name),
    check: async (...call) => rateLimiter().check(...call),
    clientIp: (request) => rateLimiter().clientIp(request),
    decide: async (...call) => rateLimiter().decide(...call),
    refund: async (...call) => rateLimiter().refund(...call),
    reset: async (...call) => rateLimiter().reset(...call),
    block: async (...call) => rateLimiter().block(...call),
    enforce: async (...call) => requireAllowed(await rateLimiter().check(...call), loadHttps),
  };
}

/** @throws HttpsError for a decision that refuses, as {@link Limiter.enforce} */
export async function requireAllowed(decision: Decision, loadHttps: LoadHttps): Promise<Decision> {
  if (decision.allowed) return decision;
  throw refusedByRateLimit(decision, (await loadHttps()).HttpsError);
}
