import { getApps, initializeApp } from "firebase-admin/app";
import { getFirestore } from "firebase-admin/firestore";
import { logger } from "firebase-functions";

import { ConfigError, parseConfig, type Config } from "./config/config";
import { readParams } from "./config/params";
import { createLogs, type Logs } from "./observability/logs";
import { FirestoreQuotaStore } from "./quota/firestore-quota-store";
import { missingLimit } from "./quota/quota";
import { QuotaBackfill } from "./quota/quota-backfill";
import { QuotaMirror } from "./quota/quota-mirror";
import { QuotaService } from "./quota/quota-service";
import { QuotaSync } from "./quota/quota-sync";
import { RedisQuotaStore } from "./quota/redis-quota-store";
import { LocalRateLimitStore } from "./rate-limit/local-rate-limit-store";
import { RateLimiter } from "./rate-limit/rate-limiter";
import { RedisRateLimitStore } from "./rate-limit/redis-rate-limit-store";
import { RedisConnection } from "./redis/connection";
import { Keys } from "./redis/keys";
import { FirestoreSessionStore } from "./session/firestore-session-store";
import { RedisSessionStore } from "./session/redis-session-store";
import { SessionMirror } from "./session/session-mirror";
import { SessionService } from "./session/session-service";

/** What the handlers work with. */
export interface Context {
  readonly config: Config;
  readonly quotaService: QuotaService;
  readonly quotaSync: QuotaSync;
  readonly quotaMirror: QuotaMirror;
  readonly quotaBackfill: QuotaBackfill;
  readonly rateLimiter: RateLimiter;
  readonly sessionService: SessionService;
  readonly sessionMirror: SessionMirror;
}

let instance: Context | undefined;

/**
 * The function instance's context: made by the first call, kept for all others. Opens no connection.
 *
 * @throws ConfigError, at every call until the params are corrected.
 */
export function context(): Context {
  return (instance ??= createContext());
}

function createContext(): Context {
  const logs = createLogs((entry) => logger.write(entry));
  const config = readConfig(logs);
  const { quota } = config;
  const app = getApps()[0] ?? initializeApp();

  const redis = new RedisConnection(config.redis, logs);
  const keys = new Keys(config.redis.keyPrefix);
  const redisQuotas = new RedisQuotaStore(redis, keys, {
    ttlSeconds: quota.ttlSeconds,
    missingLimit: missingLimit(quota),
  });
  const firestore = getFirestore(app);
  const firestoreQuotas = new FirestoreQuotaStore(firestore, quota.collectionPath, quota);
  const quotaSync = new QuotaSync(redisQuotas, firestoreQuotas, logs);
  const redisSessions = new RedisSessionStore(redis, keys, config.session);
  const firestoreSessions = new FirestoreSessionStore(firestore, config.session, logs);
  const policies = new Map(config.rateLimit.policies.map((policy) => [policy.name, policy]));
  return {
    config,
    quotaService: new QuotaService(redisQuotas, firestoreQuotas, quotaSync, quota, logs),
    quotaSync,
    quotaBackfill: new QuotaBackfill(firestore, quota.collectionPath, quota, redisQuotas, logs),
    quotaMirror: new QuotaMirror(redisQuotas, quota, logs),
    rateLimiter: new RateLimiter(
      { policies: () => policies },
      new RedisRateLimitStore(redis, keys),
      new LocalRateLimitStore(),
      logs,
    ),
    sessionService: new SessionService(redisSessions, firestoreSessions, config.session, logs),
    sessionMirror: new SessionMirror(redisSessions, logs),
  };
}

function readConfig(logs: Logs): Config {
  try {
    return parseConfig(readParams());
  } catch (error) {
    if (error instanceof ConfigError) logs.configInvalid(error.problems);
    throw error;
  }
}
