import type { CallableRequest } from "firebase-functions/v2/https";

import { toHttpsError } from "../handlers/https-errors";
import { clientIp, subjectOf } from "../rate-limit/subject";
import type { LoadHttps } from "./load-https";
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

/** Wraps a handler of `onCall`, see `withRateLimit` of lib.ts. */
export type WithRateLimit = <Args extends [CallableRequest, ...unknown[]], Result>(
  handler: (...args: Args) => Result | Promise<Result>,
  options: RateLimitOptions<Args[0]>,
) => (...args: Args) => Promise<Result>;

export function createWithRateLimit(loadHttps: LoadHttps): WithRateLimit {
  return (handler, { limiter, policy: policyName, subject, cost = 1 }) =>
    async (...args) => {
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
        await requireAllowed(await limiter.decide(policy, limited, options), loadHttps);
      } catch (error) {
        throw toHttpsError(error, (await loadHttps()).HttpsError);
      }
      return handler(...args);
    };
}
