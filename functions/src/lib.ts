import { requireHttps } from "./sdk/load-https";
import { createSdk } from "./sdk/sdk";

const sdk = createSdk(requireHttps);

/**
 * Quotas, rate limits and sessions for an app's own code. Make it once, at the top of a module. Settings are read at the first
 * call, since the Firebase CLI loads the module without its environment to list the functions; the one connection to
 * Redis is opened then too. If settings are invalid, every call rejects with a ConfigError that lists each one, its value
 * and the valid values; if all the errors are in the policies, only calls for named policies do.
 *
 * Firestore is firebase-admin's client of the default app, which is initialized if your code has not done it. Call the
 * client's `settings()` before the first call of these clients: Firestore refuses it later.
 *
 * @throws InvalidArgumentError
 *
 * @example
 * const { quota, limiter } = createRedisQuota({ redisHost: "10.0.0.3" });
 * const { allowed, remaining } = await quota.consume("provider-1");
 */
export const createRedisQuota = sdk.createRedisQuota;

/**
 * A handler of `onCall` that is only called while the provider has quota left; each call consumes some, and gets it back
 * if the handler fails before it has streamed output (see `refundOn`). With an idempotency key, a repeated call runs the
 * handler only if the first run has not finished, and at most twice in all.
 *
 * The wrapped handler throws HttpsError: `resource-exhausted` with where the provider stands as its details;
 * `already-exists` when a call with the idempotency key has run; `deadline-exceeded` when it is not known whether the call
 * was counted; `unavailable` when Redis and Firestore are unavailable; `invalid-argument` for an invalid provider id, cost
 * or key, and for a key that came with another cost.
 *
 * @example
 * export const aiChat = onCall(withQuota(answerChat, { quota, providerId: ({ data }) => data.providerId }));
 */
export const withQuota = sdk.withQuota;

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
export const withRateLimit = sdk.withRateLimit;

export { ConfigError } from "./config/config";
export type { LogSink } from "./observability/logs";
export { FirestoreUnavailableError } from "./firestore";
export { IdempotencyKeyReusedError } from "./quota/call-records";
export { InstallationConflictError } from "./quota/installations";
export {
  InvalidCostError,
  InvalidIdempotencyKeyError,
  InvalidProviderIdError,
  InvalidQuotaDocumentError,
} from "./quota/quota";
export { type ConsumeOptions, type QuotaCheck, type QuotaConsumption } from "./quota/quota-service";
export { QuotaOutcomeUnknownError, RerunClaimError } from "./quota/outcome-errors";
export type { Decision } from "./rate-limit/decision";
export type { InlineLimit } from "./rate-limit/inline-limit";
export { InvalidRateLimitCallError } from "./rate-limit/invalid-call";
export { InvalidPolicies, type PolicyInput } from "./rate-limit/policy";
export type { CheckOptions } from "./rate-limit/rate-limiter";
export { CallerUnknownError } from "./rate-limit/subject";
export { RedisUnavailableError } from "./redis/connection";
export { InvalidSecretError } from "./redis/credentials";
export { SecretUnavailableError } from "./redis/secret-manager";
export { rateLimitMiddleware, withHttpRateLimit } from "./sdk/http-rate-limit";
export type { SessionClient } from "./sdk/clients";
export type { Limiter } from "./sdk/limiter";
export type { RedisQuota } from "./sdk/sdk";
export type { RedisQuotaOptions } from "./sdk/options";
export type { QuotaClient, QuotaOptions } from "./sdk/with-quota";
export type { RateLimitOptions } from "./sdk/with-rate-limit";
export {
  InvalidSessionIdError,
  InvalidSessionTtlError,
  SessionDestroyedError,
  SessionStillCachedError,
  SessionUnavailableError,
} from "./session/session";
export {
  InvalidSessionDataError,
  SessionTooLargeError,
  type SessionData,
  type SessionValue,
} from "./session/session-data";
export type { FoundSession, SessionLife } from "./session/session-service";
export { InvalidArgumentError } from "./validation";
