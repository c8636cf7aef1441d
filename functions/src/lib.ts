import { write } from "firebase-functions/logger";

import { readEnvironment } from "./config/environment";
import { defaultFirestore } from "./default-firestore";
import { createLogs } from "./observability/logs";
import { createLimiter, type Limiter } from "./sdk/limiter";
import { parseOptions, requireKnownOptions, type RedisQuotaOptions } from "./sdk/options";
import type { QuotaClient } from "./sdk/with-quota";
import { createServices, type Services } from "./services";

/** What {@link createRedisQuota} makes. */
export interface RedisQuota {
  readonly quota: QuotaClient;
  readonly limiter: Limiter;
  /**
   * Closes the connection to Redis, of which a later call opens a new one, and ends the listening for policies: so that
   * the process can end.
   */
  close(): void;
}

/**
 * Quotas and rate limits for an app's own code. Make it once, at the top of a module. Settings are read at the first
 * call, since the Firebase CLI loads the module without its environment to list the functions; the one connection to
 * Redis is opened then too. Bad settings make every call throw ConfigError, which names them all, with what they got and
 * what is valid.
 *
 * @throws UnknownOptionError
 *
 * @example
 * const { quota, limiter } = createRedisQuota({ redisHost: "10.0.0.3" });
 * const { allowed, remaining } = await quota.consume("provider-1");
 */
export function createRedisQuota({ firestore, log, ...settings }: RedisQuotaOptions = {}): RedisQuota {
  requireKnownOptions(settings);
  let made: Services | undefined;
  const services = () =>
    (made ??= createServices(
      parseOptions(settings, readEnvironment()),
      firestore ?? defaultFirestore(),
      createLogs(log ?? write),
    ));
  return {
    quota: {
      check: async (providerId) => services().quotaService.check(providerId),
      consume: async (...call) => services().quotaService.consume(...call),
      refund: async (...call) => services().quotaService.refund(...call),
    },
    limiter: createLimiter(() => services().rateLimiter),
    close: () => made?.close(),
  };
}

export { ConfigError } from "./config/config";
export type { LogSink } from "./observability/logs";
export { FirestoreUnavailableError } from "./quota/firestore-quota-store";
export {
  InvalidCostError,
  InvalidIdempotencyKeyError,
  InvalidProviderIdError,
  InvalidQuotaDocumentError,
} from "./quota/quota";
export {
  QuotaOutcomeUnknownError,
  type ConsumeOptions,
  type QuotaCheck,
  type QuotaConsumption,
} from "./quota/quota-service";
export type { Decision } from "./rate-limit/decision";
export { InvalidRateLimitCallError } from "./rate-limit/invalid-call";
export { InvalidPolicies, type PolicyInput } from "./rate-limit/policy";
export type { CheckOptions } from "./rate-limit/rate-limiter";
export { CallerUnknownError } from "./rate-limit/subject";
export { RedisUnavailableError } from "./redis/connection";
export { rateLimitMiddleware, withHttpRateLimit } from "./sdk/http-rate-limit";
export type { Limiter } from "./sdk/limiter";
export { UnknownOptionError, type RedisQuotaOptions } from "./sdk/options";
export { withQuota, type QuotaClient, type QuotaOptions } from "./sdk/with-quota";
export { withRateLimit, type RateLimitOptions } from "./sdk/with-rate-limit";
