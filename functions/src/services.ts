import type { Firestore } from "firebase-admin/firestore";

import { ConfigError, type ServiceConfig } from "./config/config";
import { lazily } from "./lazily";
import type { Logs } from "./observability/logs";
import { Metrics } from "./observability/metrics";
import { FirestoreProbe } from "./quota/firestore-probe";
import { FirestoreQuotaStore } from "./quota/firestore-quota-store";
import { Installations } from "./quota/installations";
import { missingLimit } from "./quota/quota";
import { QuotaBackfill } from "./quota/quota-backfill";
import { QuotaInspector } from "./quota/quota-inspector";
import { QuotaMirror } from "./quota/quota-mirror";
import { QuotaService } from "./quota/quota-service";
import { QuotaSync } from "./quota/quota-sync";
import { RedisQuotaStore } from "./quota/redis-quota-store";
import { LocalRateLimitStore } from "./rate-limit/local-rate-limit-store";
import { PolicyDocuments } from "./rate-limit/policy-documents";
import { configuredPolicies } from "./rate-limit/policy-source";
import { RateLimiter } from "./rate-limit/rate-limiter";
import { RedisRateLimitStore } from "./rate-limit/redis-rate-limit-store";
import { RedisCluster } from "./redis/cluster";
import { RedisConnection } from "./redis/connection";
import { Keys } from "./redis/keys";
import { RedisProbe } from "./redis/redis-probe";
import { secretReader } from "./redis/secret-manager";
import { SharedCounts } from "./redis/shared-counts";
import { FirestoreSessionStore } from "./session/firestore-session-store";
import { RedisSessionStore } from "./session/redis-session-store";
import { SessionMirror } from "./session/session-mirror";
import { SessionService } from "./session/session-service";

/** What this product does, put together: for the deployed functions and for those of an app. */
export interface Services {
  readonly quotaService: QuotaService;
  readonly quotaSync: QuotaSync;
  readonly quotaMirror: QuotaMirror;
  readonly quotaBackfill: QuotaBackfill;
  readonly quotaInspector: QuotaInspector;
  readonly rateLimiter: RateLimiter;
  readonly sessionService: SessionService;
  readonly sessionMirror: SessionMirror;
  readonly redisProbe: RedisProbe;
  readonly metrics: Metrics;
  readonly sharedCounts: SharedCounts;
  readonly installations: Installations;
  /** Closes the connection to Redis for good, and ends the listening for policies. */
  close(): void;
}

/** Where services run. */
export interface Deployment {
  /** Id of the project whose Firestore they use, if it is known. */
  readonly project?: string | undefined;
  /** Id of its database, if not that of the configuration. */
  readonly database?: string | undefined;
  /** Whether to register an installation that counts usage in Redis; the CLI does not. */
  readonly canRegister?: boolean;
}

/**
 * Makes the services; opens no connection, and asks for the Firestore client when one first needs it.
 *
 * @param secretManagerHost address of a server to read secrets from instead of Google's
 */
export function createServices(
  config: ServiceConfig,
  getFirestore: () => Firestore,
  logs: Logs,
  secretManagerHost?: string,
  { project, database = config.database, canRegister = true }: Deployment = {},
): Services {
  const firestore = lazily(getFirestore);
  const { quota } = config;
  const metrics = new Metrics(logs, Date.now, (counted) => sharedCounts.add(counted));
  const RedisServers = config.redis.topology === "cluster" ? RedisCluster : RedisConnection;
  const redis = new RedisServers(config.redis, countCircuit(logs, metrics), secretReader(secretManagerHost));
  const keys = new Keys(config.redis.keyPrefix);
  const sharedCounts = new SharedCounts(redis, keys);
  const installations = new Installations(
    redis,
    config.redis.keyPrefix,
    { project, database, collection: quota.collectionPath },
    { isCounting: quota.mode === "redis-primary", canRegister },
    (error) => logs.installationConflict(error),
  );
  const redisQuotas = new RedisQuotaStore(installations.guard(), keys, {
    ttlSeconds: quota.ttlSeconds,
    missingLimit: missingLimit(quota),
  });
  const firestoreQuotas = new FirestoreQuotaStore(firestore, quota.collectionPath, quota);
  const quotaSync = new QuotaSync(redisQuotas, firestoreQuotas, logs);
  const redisSessions = new RedisSessionStore(redis, keys, config.session, logs);
  const firestoreSessions = new FirestoreSessionStore(firestore, config.session, logs);
  const { policies, policyCollection } = config.rateLimit;
  const areInvalid = policies instanceof ConfigError;
  if (areInvalid) logs.configInvalid(policies.problems);
  const documents =
    areInvalid || policyCollection === undefined
      ? undefined
      : new PolicyDocuments(firestore, policyCollection, policies, logs);
  return {
    quotaService: new QuotaService(redisQuotas, firestoreQuotas, quotaSync, quota, logs, metrics),
    quotaSync,
    quotaBackfill: new QuotaBackfill(firestore, quota.collectionPath, quota, redisQuotas, logs),
    quotaInspector: new QuotaInspector(
      redisQuotas,
      firestoreQuotas,
      new FirestoreProbe(firestore, quota.collectionPath),
    ),
    quotaMirror: new QuotaMirror(redisQuotas, quota, logs, metrics),
    rateLimiter: new RateLimiter(
      documents ?? configuredPolicies(policies),
      new RedisRateLimitStore(redis, keys),
      new LocalRateLimitStore(),
      logs,
      metrics,
      config.rateLimit.trustedProxies,
    ),
    sessionService: new SessionService(redisSessions, firestoreSessions, config.session, logs),
    sessionMirror: new SessionMirror(redisSessions, logs),
    redisProbe: new RedisProbe(redis),
    metrics,
    sharedCounts,
    installations,
    close() {
      documents?.close();
      redis.close();
    },
  };
}

/** Logs that also count when the circuit to Redis opens and closes. */
function countCircuit(logs: Logs, metrics: Metrics): Logs {
  return {
    ...logs,
    redisCircuitOpened(address) {
      logs.redisCircuitOpened(address);
      metrics.circuitChanged("open");
    },
    redisCircuitClosed(address) {
      logs.redisCircuitClosed(address);
      metrics.circuitChanged("closed");
    },
  };
}
