import { readEnvironment } from "../config/environment";
import { createLogs } from "../observability/logs";
import { Metrics } from "../observability/metrics";
import { MemoryQuotas, type ProviderDocument } from "../quota/memory-quotas";
import { LocalRateLimitStore } from "../rate-limit/local-rate-limit-store";
import type { RateLimitStore, SharedRateLimitStore } from "../rate-limit/rate-limit-store";
import { RateLimiter } from "../rate-limit/rate-limiter";
import { RedisUnavailableError } from "../redis/connection";
import { MemorySessions } from "../session/memory-sessions";
import { createLimiter } from "./limiter";
import type { LoadHttps } from "./load-https";
import { parseOptions, requireKnownOptions, type RedisQuotaOptions } from "./options";
import type { RedisQuota } from "./sdk";

export interface TestRedisQuotaOptions extends Omit<RedisQuotaOptions, "firestore"> {
  /** Provider documents by id, as Firestore would hold them. */
  readonly providers?: Readonly<Record<string, ProviderDocument>>;
  /** The clock of rate limits and sessions, Unix time in milliseconds: `Date.now` unless told. */
  readonly now?: () => number;
}

/** What `createTestRedisQuota` makes: the SDK's clients, and ways to say what the world is like. */
export interface TestRedisQuota extends RedisQuota {
  /** Sets a provider's document, or deletes it. */
  setProvider(providerId: string, document: ProviderDocument | undefined): void;
  /**
   * Has Redis answer from now on, which it does at first; or Firestore alone, as while Redis is away; or neither, so
   * that quotas and sessions throw FirestoreUnavailableError.
   */
  answerFrom(source: "redis" | "firestore" | "neither"): void;
}

/** The SDK's clients on stores in memory, see testing.ts. */
export function createInMemory(
  { providers = {}, now = Date.now, log = () => {}, ...settings }: TestRedisQuotaOptions,
  loadHttps: LoadHttps,
): TestRedisQuota {
  requireKnownOptions(settings);
  const config = parseOptions({ redisHost: "in-memory", ...settings }, readEnvironment());
  const quotas = new MemoryQuotas(config.quota);
  for (const [providerId, document] of Object.entries(providers)) quotas.setProvider(providerId, document);
  const sessions = new MemorySessions(config.session, now);
  const policies = new Map(config.rateLimit.policies.map((policy) => [policy.name, policy]));
  const shared = new InterruptibleStore(new LocalRateLimitStore(now, "redis"));
  const local = new LocalRateLimitStore(now);
  const logs = createLogs(log);
  const metrics = new Metrics(createLogs(() => {}));
  const limiter = new RateLimiter({ policies: () => policies }, shared, local, logs, metrics);
  return {
    quota: quotas,
    limiter: createLimiter(() => limiter, loadHttps),
    sessions,
    close: () => {},
    setProvider: (providerId, document) => quotas.setProvider(providerId, document),
    answerFrom(source) {
      quotas.source = sessions.source = source === "neither" ? undefined : source;
      shared.available = source === "redis";
    },
  };
}

/** A store that can be away. */
class InterruptibleStore implements SharedRateLimitStore {
  available = true;

  constructor(private readonly store: RateLimitStore) {}

  async take(...[limits, subject, request, referee]: Parameters<SharedRateLimitStore["take"]>) {
    try {
      const decision = await this.present().take(limits, subject, request);
      const { source, allowed } = decision;
      referee?.decided(limits, request, source, Number(allowed), Number(!allowed));
      return decision;
    } catch (error) {
      if (referee === undefined) throw error;
      return referee.decideInstead(limits, subject, request, error as Error);
    }
  }

  async refund(...call: Parameters<RateLimitStore["refund"]>) {
    return this.present().refund(...call);
  }

  async reset(...call: Parameters<RateLimitStore["reset"]>) {
    return this.present().reset(...call);
  }

  async block(...call: Parameters<RateLimitStore["block"]>) {
    return this.present().block(...call);
  }

  private present(): RateLimitStore {
    if (this.available) return this.store;
    throw new RedisUnavailableError("in-memory", "not-executed", new Error("the test says so"));
  }
}
