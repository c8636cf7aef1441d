import { ConfigError } from "../config/config";
import { GrpcStatus } from "../grpc-status";
import { MemoryServer } from "../memory-server";
import { createLogs } from "../observability/logs";
import { Metrics } from "../observability/metrics";
import { MemoryQuotas, type ProviderDocument } from "../quota/memory-quotas";
import { parseProviderId } from "../quota/quota";
import { QuotaService } from "../quota/quota-service";
import { LocalRateLimitStore } from "../rate-limit/local-rate-limit-store";
import { configuredPolicies } from "../rate-limit/policy-source";
import type { RateLimitStore, SharedRateLimitStore } from "../rate-limit/rate-limit-store";
import { RateLimiter } from "../rate-limit/rate-limiter";
import { RedisUnavailableError } from "../redis/connection";
import { MemorySessions } from "../session/memory-sessions";
import { SessionService } from "../session/session-service";
import { formatValue, InvalidArgumentError, isMap, readOptions, validationMessage } from "../validation";
import { createClients } from "./clients";
import type { LoadHttps } from "./load-https";
import {
  parseOptions,
  readRedisQuotaOptions,
  requireFunction,
  SETTING_NAMES,
  type RedisQuotaOptions,
} from "./options";
import type { RedisQuota } from "./sdk";

export interface TestRedisQuotaOptions extends Omit<RedisQuotaOptions, "firestore"> {
  /** Provider documents by id, as Firestore would hold them. */
  readonly providers?: Readonly<Record<string, ProviderDocument>>;
  /** The clock, Unix time in milliseconds: `Date.now` unless told. */
  readonly now?: () => number;
}

/** What `createTestRedisQuota` makes: the SDK's clients, and ways to say what the world is like. */
export interface TestRedisQuota extends RedisQuota {
  /** Sets a provider's document, or deletes it. Redis is told at once, as by `mirrorQuota`. */
  setProvider(providerId: string, document: ProviderDocument | undefined): void;
  /**
   * Says who answers from now on; which of those who can is asked, the mode says.
   *
   * - `redis`, as at first: Redis and Firestore.
   * - `firestore`: Firestore alone, as while Redis is unavailable.
   * - `neither`: nobody.
   * - `unknown`: nobody, but what is asked for is done, as when connections break before the answer: `consume` and
   *   `refund` count and throw QuotaOutcomeUnknownError.
   */
  answerFrom(source: "redis" | "firestore" | "neither" | "unknown"): void;
}

/** What each server is like for an argument of `answerFrom`. */
const PRESENCES = {
  redis: { redis: "present", firestore: "present" },
  firestore: { redis: "away", firestore: "present" },
  neither: { redis: "away", firestore: "away" },
  unknown: { redis: "silent", firestore: "silent" },
} as const;

/** The SDK's clients on stores in memory, see testing.ts. */
export function createInMemory(
  options: TestRedisQuotaOptions | undefined,
  loadHttps: LoadHttps,
): TestRedisQuota {
  const { providers = {}, now = () => Date.now(), log = () => {}, ...settings } = readTestOptions(options);
  const config = parseOptions({ redisHost: "in-memory", ...settings });
  requireNoPolicyCollection(config.rateLimit.policyCollection);
  const redis = new MemoryServer((outcome, cause) => new RedisUnavailableError("in-memory", outcome, cause));
  const firestore = new MemoryServer((_, cause) => Object.assign(cause, { code: GrpcStatus.UNAVAILABLE }));
  const logs = createLogs(log);
  const metrics = new Metrics(createLogs(() => {}));

  const quotas = new MemoryQuotas(redis, firestore, config.quota, now);
  const setProvider = (providerId: string, document: ProviderDocument | undefined) => {
    parseProviderId(providerId);
    if (document !== undefined) requireMap("document", document);
    quotas.setProvider(providerId, document);
  };
  requireMap("providers", providers);
  for (const [providerId, document] of Object.entries(providers)) setProvider(providerId, document);
  const { redisStore, firestoreStore } = quotas;
  // In the modes in which it is asked to, Redis has counted nothing.
  const sync = { flush: () => redis.run(() => new Map<string, Error>()) };
  const quotaService = new QuotaService(redisStore, firestoreStore, sync, config.quota, logs, metrics);

  const stores = new MemorySessions(redis, firestore, config.session, now);
  const sessionService = new SessionService(stores.redisStore, stores.firestoreStore, config.session, logs);

  const { policies } = config.rateLimit;
  if (policies instanceof ConfigError) logs.configInvalid(policies.problems);
  const shared = new MemorySharedStore(redis, new LocalRateLimitStore(now, "redis"));
  const local = new LocalRateLimitStore(now);
  const rateLimiter = new RateLimiter(
    configuredPolicies(policies),
    shared,
    local,
    logs,
    metrics,
    config.rateLimit.trustedProxies,
    now,
  );
  return {
    ...createClients(() => ({ quotaService, rateLimiter, sessionService }), loadHttps),
    close: () => {},
    setProvider,
    answerFrom(source) {
      if (!Object.hasOwn(PRESENCES, source)) {
        const expected = Object.keys(PRESENCES).join(", ");
        throw new InvalidArgumentError("source", `one of ${expected}`, formatValue(source));
      }
      redis.presence = PRESENCES[source].redis;
      firestore.presence = PRESENCES[source].firestore;
    },
  };
}

/** @throws InvalidArgumentError */
function readTestOptions(options: TestRedisQuotaOptions | undefined) {
  const { providers, now, ...shared } = readOptions(options, [...SETTING_NAMES, "log", "providers", "now"]);
  if (now !== undefined) requireFunction("now", now);
  const { settings, log } = readRedisQuotaOptions(shared);
  return { ...settings, providers, now, log };
}

/** @throws InvalidArgumentError */
function requireMap(field: string, value: unknown): void {
  if (!isMap(value)) throw new InvalidArgumentError(field, "a plain object", formatValue(value));
}

/** @throws ConfigError */
function requireNoPolicyCollection(collection: string | undefined): void {
  if (collection === undefined) return;
  const expected = "unset in tests, which have no such collection: use rateLimitPolicies";
  const problem = validationMessage("rateLimitPolicyCollection", expected, formatValue(collection));
  throw new ConfigError([{ param: "rateLimitPolicyCollection", problem }]);
}

/** Counts in memory that are Redis's. */
class MemorySharedStore implements SharedRateLimitStore {
  constructor(
    private readonly redis: MemoryServer,
    private readonly store: RateLimitStore,
  ) {}

  async take(...[limits, subject, request, referee]: Parameters<SharedRateLimitStore["take"]>) {
    try {
      const decision = await this.redis.run(() => this.store.take(limits, subject, request));
      const { source, allowed } = decision;
      referee?.decided(limits, request, source, Number(allowed), Number(!allowed));
      return decision;
    } catch (error) {
      if (referee === undefined) throw error;
      return referee.decideInstead(limits, subject, request, error as Error);
    }
  }

  refund(...call: Parameters<RateLimitStore["refund"]>) {
    return this.redis.run(() => this.store.refund(...call));
  }

  reset(...call: Parameters<RateLimitStore["reset"]>) {
    return this.redis.run(() => this.store.reset(...call));
  }

  block(...call: Parameters<RateLimitStore["block"]>) {
    return this.redis.run(() => this.store.block(...call));
  }
}
