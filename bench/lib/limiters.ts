import { Redis } from "ioredis";
import { createLogs } from "../../functions/dist/observability/logs.js";
import { Metrics } from "../../functions/dist/observability/metrics.js";
import { LocalRateLimitStore } from "../../functions/dist/rate-limit/local-rate-limit-store.js";
import { checkPolicies, type Policy } from "../../functions/dist/rate-limit/policy.js";
import { RateLimiter } from "../../functions/dist/rate-limit/rate-limiter.js";
import { RedisRateLimitStore } from "../../functions/dist/rate-limit/redis-rate-limit-store.js";
import { RedisConnection } from "../../functions/dist/redis/connection.js";
import { Keys } from "../../functions/dist/redis/keys.js";

const HOST = "127.0.0.1";
const TIMEOUT_MS = 1000;

export const KEYS = new Keys("frq");

/** The built package's limiter, put together as in a function. */
export function createLimiter(redisPort: number, policies: readonly unknown[]) {
  const logs = createLogs((entry) => console.error(entry.message));
  const metrics = new Metrics(createLogs(() => {}));
  const connection = new RedisConnection({ host: HOST, port: redisPort, timeoutMs: TIMEOUT_MS }, logs);
  const byName: ReadonlyMap<string, Policy> = new Map(
    checkPolicies(policies).map((policy) => [policy.name, policy]),
  );
  const shared = new RedisRateLimitStore(connection, KEYS);
  const limiter = new RateLimiter(
    { policies: () => byName },
    shared,
    new LocalRateLimitStore(),
    logs,
    metrics,
  );
  return { limiter, policies: byName, connection };
}

/** A client for the peers: the same version of ioredis, protocol and timers as the product's own connection. */
export function connectLikeTheProduct(redisPort: number): Redis {
  return new Redis({
    host: HOST,
    port: redisPort,
    protocol: 2,
    commandTimeout: TIMEOUT_MS,
    socketTimeout: 2 * TIMEOUT_MS,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
  });
}
