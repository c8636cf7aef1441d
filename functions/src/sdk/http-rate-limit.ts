import type { IncomingMessage, ServerResponse } from "node:http";

import type { Decision } from "../rate-limit/decision";
import { rateLimitFields } from "../rate-limit/http-fields";
import { countedAs, limitsOf } from "../rate-limit/policy";
import { CallerUnknownError, subjectOf } from "../rate-limit/subject";
import { requireFunction } from "./options";
import { costOf } from "./request-cost";
import { isFaultOfRequest, readRateLimitOptions, type RateLimitOptions } from "./with-rate-limit";

/**
 * Express middleware that only passes requests within a rate limit on. Works with any framework whose requests and
 * responses are Node's own.
 *
 * Each response has the fields `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10). The
 * middleware answers requests that it does not pass on with a problem document (RFC 9457):
 *
 * - 429 with `Retry-After` if the rate limit denies the request
 * - 503 with `Retry-After` if Redis is unavailable and the policy's `onRedisFailure` is `closed`
 * - 401 if the policy limits by something that a plain request does not show: a policy by uid or app needs the option
 *   `subject`
 * - 400 if the option `subject` or `cost` returns an invalid value for the request
 *
 * Other errors go to `next`. CORS preflights are passed on and not counted. A response that was sent in the meantime is
 * left as it is.
 *
 * @example
 * app.use("/api", cors(), rateLimitMiddleware({ limiter, policy: "api" }));
 */
export function rateLimitMiddleware<Request extends IncomingMessage>(
  given: RateLimitOptions<Request>,
): (request: Request, response: ServerResponse, next: (error?: unknown) => void) => void {
  const options = readRateLimitOptions(given);
  return (request, response, next) => {
    if (isPreflight(request)) {
      next();
      return;
    }
    // `next` runs the rest of the app, whose errors must not become rejections of this promise.
    decideRequest(request, response, options).then(
      (allowed) => {
        if (allowed) queueMicrotask(() => passOn(next));
      },
      (error: unknown) => queueMicrotask(() => next(error)),
    );
  };
}

/** Passes an error that `next` throws to the error handlers, as Express does for synchronous middleware. */
function passOn(next: (error?: unknown) => void): void {
  try {
    next();
  } catch (error) {
    next(error);
  }
}

/**
 * Wraps a handler of `onRequest`, which is only called for requests within a rate limit. Other requests are answered as
 * by {@link rateLimitMiddleware}. All requests are counted; with the `cors` option of `onRequest`, preflights are
 * answered before.
 *
 * @example
 * export const webhook = onRequest(withHttpRateLimit(receive, { limiter, policy: "webhook" }));
 */
export function withHttpRateLimit<Request extends IncomingMessage, Response extends ServerResponse>(
  handler: (request: Request, response: Response) => void | Promise<void>,
  given: RateLimitOptions<Request>,
): (request: Request, response: Response) => Promise<void> {
  requireFunction("handler", handler);
  const options = readRateLimitOptions(given);
  return async (request, response) => {
    if (!(await decideRequest(request, response, options))) return;
    try {
      await handler(request, response);
    } catch (error) {
      // The response cannot become an error any more. Its client must not wait for the rest.
      if (response.headersSent && !response.writableEnded) response.destroy();
      throw error;
    }
  };
}

/** Whether the request is allowed and its response still open. */
async function decideRequest<Request extends IncomingMessage>(
  request: Request,
  response: ServerResponse,
  options: RateLimitOptions<Request>,
): Promise<boolean> {
  try {
    const { fields, decision } = await decide(request, options);
    if (isAnswered(response)) return false;
    for (const [name, value] of Object.entries(fields)) response.setHeader(name, value);
    if (isCrossOrigin(request)) exposeHeaders(response, Object.keys(fields));
    if (!decision.allowed) answerDenial(response, options.policy, decision);
    return decision.allowed;
  } catch (error) {
    if (error instanceof CallerUnknownError) answerProblem(response, 401, { title: error.message });
    else if (isFaultOfRequest(error, options)) answerProblem(response, 400, { title: error.message });
    else throw error;
    return false;
  }
}

async function decide<Request extends IncomingMessage>(
  request: Request,
  { limiter, policy: policyName, subject, cost = 1 }: RateLimitOptions<Request>,
): Promise<{ readonly fields: Readonly<Record<string, string>>; readonly decision: Decision }> {
  const policy = await limiter.policy(policyName);
  const limited = subject
    ? await subject(request)
    : subjectOf(policy, { uid: undefined, appId: undefined, ip: limiter.clientIp(request) });
  const decision = await limiter.decide(policy, limited, { cost: costOf(cost, request) });
  const limits = limitsOf(policy, countedAs(limited, policy.subnets));
  return { fields: rateLimitFields(limits, decision), decision };
}

/** Whether another part of the app has sent the response, or its client has closed the connection. */
function isAnswered({ headersSent, writableEnded, destroyed }: ServerResponse): boolean {
  return headersSent || writableEnded || destroyed;
}

/** Whether a browser asks if it may send a request from another origin (CORS protocol of the Fetch standard). */
function isPreflight({ method, headers }: IncomingMessage): boolean {
  return (
    method === "OPTIONS" &&
    headers.origin !== undefined &&
    headers["access-control-request-method"] !== undefined
  );
}

function isCrossOrigin({ headers: { origin, host } }: IncomingMessage): boolean {
  return origin !== undefined && !origin.endsWith(`://${host}`);
}

/** Lets a page of another origin read response fields. */
function exposeHeaders(response: ServerResponse, names: readonly string[]): void {
  const before = [response.getHeader("Access-Control-Expose-Headers") ?? []].flat().map(String);
  const exposed = before.flatMap((list) => list.split(",")).map((name) => name.trim().toLowerCase());
  const more = names.filter((name) => !exposed.includes(name.toLowerCase()));
  response.setHeader("Access-Control-Expose-Headers", [...before, ...more].join(", "));
}

function answerDenial(response: ServerResponse, policy: string, { reason, retryAfterMs }: Decision): void {
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
  if (isAnswered(response)) return;
  response.statusCode = status;
  response.setHeader("Content-Type", "application/problem+json");
  response.end(JSON.stringify({ ...problem, status }));
}
