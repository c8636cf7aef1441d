import type { CallableRequest } from "firebase-functions/v2/https";

import { toHttpsError } from "../handlers/https-errors";
import { subjectOf } from "../rate-limit/subject";
import { formatValue, InvalidArgumentError, readOptions } from "../validation";
import type { LoadHttps } from "./load-https";
import { requireAllowed, type Limiter } from "./limiter";
import { requireFunction, requireMethods } from "./options";
import { costOf, requireRequestCost, type RequestCost } from "./request-cost";

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
  readonly cost?: RequestCost<Request>;
}

/** Wraps a handler of `onCall`, see `withRateLimit` of lib.ts. */
export type WithRateLimit = <Args extends [CallableRequest, ...unknown[]], Result>(
  handler: (...args: Args) => Result | Promise<Result>,
  options: RateLimitOptions<Args[0]>,
) => (...args: Args) => Promise<Result>;

export function createWithRateLimit(loadHttps: LoadHttps): WithRateLimit {
  return (handler, given) => {
    requireFunction("handler", handler);
    const options = readRateLimitOptions(given);
    const { limiter, policy: policyName, subject, cost = 1 } = options;
    return async (...args) => {
      const [request] = args;
      try {
        const policy = await limiter.policy(policyName);
        const limited = subject
          ? await subject(request)
          : subjectOf(policy, {
              uid: request.auth?.uid,
              appId: request.app?.appId,
              ip: limiter.clientIp(request.rawRequest),
            });
        const decision = await limiter.decide(policy, limited, { cost: costOf(cost, request) });
        await requireAllowed(decision, loadHttps);
      } catch (error) {
        if (error instanceof InvalidArgumentError && !isFaultOfRequest(error, options)) throw error;
        throw toHttpsError(error, (await loadHttps()).HttpsError);
      }
      return handler(...args);
    };
  };
}

/** @throws InvalidArgumentError */
export function readRateLimitOptions<Request>(given: RateLimitOptions<Request>): RateLimitOptions<Request> {
  const options = readOptions(given, ["limiter", "policy", "subject", "cost"]);
  const { limiter, policy, subject, cost } = options;
  requireMethods("limiter", limiter, ["policy", "decide"], "a limiter of createRedisQuota");
  if (typeof policy !== "string" || policy === "")
    throw new InvalidArgumentError("policy", "the name of a policy", formatValue(policy));
  if (subject !== undefined) requireFunction("subject", subject);
  if (cost !== undefined) requireRequestCost(cost);
  return options as RateLimitOptions<Request>;
}

/** Whether an error is about the subject or the cost that a request has, and not about the options of the wrapper. */
export function isFaultOfRequest<Request>(
  error: unknown,
  { subject, cost }: RateLimitOptions<Request>,
): error is InvalidArgumentError {
  if (!(error instanceof InvalidArgumentError)) return false;
  return error.field === "subject"
    ? subject !== undefined
    : error.field === "cost" && typeof cost === "function";
}
