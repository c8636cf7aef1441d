import type { CallableRequest } from "firebase-functions/v2/https";

import { clientIp, subjectOf } from "../rate-limit/subject";
import { loadHttpsErrors } from "./https-errors";
import { requireAllowed, type Limiter } from "./limiter";

/** How the requests of a function are limited. */
export interface RateLimitOptions<Request> {
  readonly limiter: Limiter;
  /** Name of the policy. */
  readonly policy: string;
  /**
   * Whom the request is charged to. Unless told, it follows from the policy's `by`: the signed-in user, the IP address,
   * the App Check app, or all together; a policy by subject needs it.
   */
  readonly subject?: (request: Request) => string | Promise<string>;
  /** What a request counts for: a positive integer; 1 unless told. */
  readonly cost?: number | ((request: Request) => number);
}

/**
 * A handler of `onCall` that is only called for requests within a rate limit.
 *
 * The wrapped handler throws HttpsError: `resource-exhausted` with the decision as its details; `unauthenticated` if the
 * policy limits by something that the caller has not shown; `unavailable` if Redis gave no answer and the policy's
 * `onRedisFailure` is `closed`; `invalid-argument` for a policy, subject or cost that cannot be.
 *
 * @example
 * export const aiChat = onCall(withRateLimit(answerChat, { limiter, policy: "ai-chat" }));
 */
export function withRateLimit<Args extends [CallableRequest, ...unknown[]], Result>(
  handler: (...args: Args) => Result | Promise<Result>,
  { limiter, policy: policyName, subject, cost = 1 }: RateLimitOptions<Args[0]>,
): (...args: Args) => Promise<Result> {
  return async (...args) => {
    const [request] = args;
    try {
      const policy = await limiter.policy(policyName);
      const limited = subject
        ? await subject(request)
        : subjectOf(policy, {
            uid: request.auth?.uid,
            appId: request.app?.appId,
            ip: clientIp(request.rawRequest),
          });
      const options = { cost: typeof cost === "number" ? cost : cost(request) };
      requireAllowed(await limiter.decide(policy, limited, options));
    } catch (error) {
      throw loadHttpsErrors().toHttpsError(error);
    }
    return handler(...args);
  };
}
