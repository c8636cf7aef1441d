import type { IncomingMessage, ServerResponse } from "node:http";

import type { Decision } from "../rate-limit/decision";
import { rateLimitFields } from "../rate-limit/http-fields";
import { CallerUnknownError, clientIp, subjectOf } from "../rate-limit/subject";
import type { RateLimitOptions } from "./with-rate-limit";

/**
 * Express middleware that lets requests within a rate limit pass. Works with any framework whose requests and responses
 * are Node's own.
 *
 * Each response gets the fields `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10). A refusal
 * is answered 429, or 503 if Redis gave no answer and the policy's `onRedisFailure` is `closed`, with `Retry-After` and
 * a problem document (RFC 9457); 401 if the policy limits by something that a plain request does not show: a policy by
 * uid, app or subject needs the option `subject`. Other errors go to `next`.
 *
 * @example
 * app.use("/api", rateLimitMiddleware({ limiter, policy: "api" }));
 */
export function rateLimitMiddleware<Request extends IncomingMessage>(
  options: RateLimitOptions<Request>,
): (request: Request, response: ServerResponse, next: (error?: unknown) => void) => void {
  return (request, response, next) => {
    decideRequest(request, response, options).then((allowed) => {
      if (allowed) next();
    }, next);
  };
}

/**
 * A handler of `onRequest` that is only called for requests within a rate limit; refusals are answered as by
 * {@link rateLimitMiddleware}.
 *
 * @example
 * export const webhook = onRequest(withHttpRateLimit(receive, { limiter, policy: "webhook" }));
 */
export function withHttpRateLimit<Request extends IncomingMessage, Response extends ServerResponse>(
  handler: (request: Request, response: Response) => void | Promise<void>,
  options: RateLimitOptions<Request>,
): (request: Request, response: Response) => Promise<void> {
  return async (request, response) => {
    if (await decideRequest(request, response, options)) await handler(request, response);
  };
}

async function decideRequest<Request extends IncomingMessage>(
  request: Request,
  response: ServerResponse,
  { limiter, policy: policyName, subject, cost = 1 }: RateLimitOptions<Request>,
): Promise<boolean> {
  const policy = await limiter.policy(policyName);
  let limited: string;
  try {
    limited = subject
      ? await subject(request)
      : subjectOf(policy, { uid: undefined, appId: undefined, ip: clientIp(request) });
  } catch (error) {
    if (!(error instanceof CallerUnknownError)) throw error;
    answerProblem(response, 401, { title: error.message });
    return false;
  }
  const options = { cost: typeof cost === "number" ? cost : cost(request) };
  const decision = await limiter.decide(policy, limited, options);
  const limits = policy.overrides.get(limited) ?? policy.limits;
  for (const [name, value] of Object.entries(rateLimitFields(limits, decision, Date.now())))
    response.setHeader(name, value);
  if (!decision.allowed) answerRefusal(response, policy.name, decision);
  return decision.allowed;
}

function answerRefusal(response: ServerResponse, policy: string, { reason, retryAfterMs }: Decision): void {
  const again = `Try again in ${Math.ceil(retryAfterMs / 1000)} s.`;
  if (reason === "redis-unavailable") {
    answerProblem(response, 503, { title: "The rate limit cannot be checked now.", detail: again });
    return;
  }
  answerProblem(response, 429, {
    type: "https://iana.org/assignments/http-problem-types#quota-exceeded",
    title: reason === "blocked" ? "Blocked." : "Rate limit reached.",
    detail: again,
    "violated-policies": [policy],
  });
}

function answerProblem(
  response: ServerResponse,
  status: number,
  problem: Readonly<Record<string, unknown>>,
): void {
  response.statusCode = status;
  response.setHeader("Content-Type", "application/problem+json");
  response.end(JSON.stringify({ ...problem, status }));
}
