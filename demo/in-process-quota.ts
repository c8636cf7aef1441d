import { createLogs } from "../functions/dist/observability/logs.js";
import { FirestoreQuotaStore } from "../functions/dist/quota/firestore-quota-store.js";
import { QuotaService, type QuotaMode } from "../functions/dist/quota/quota-service.js";
import { QuotaSync } from "../functions/dist/quota/quota-sync.js";
import { RedisQuotaStore } from "../functions/dist/quota/redis-quota-store.js";
import { RedisConnection } from "../functions/dist/redis/connection.js";
import { DEFAULT_LIMIT, type Stack } from "./stack.ts";

const TTL_SECONDS = 300;
const TIMEOUT_MS = 500;

/** The built package's quota parts in this process, on the demo's Redis and Firestore. */
export interface InProcessQuota {
  readonly service: QuotaService;
  readonly sync: QuotaSync;
  close(): void;
}

export function openInProcessQuota({ providers, keys, redisServer }: Stack, mode: QuotaMode): InProcessQuota {
  const missing = { missingProvider: "default-limit", defaultLimit: DEFAULT_LIMIT } as const;
  const options = { usedField: "aiCallsUsed", limitField: "aiCallsLimit", ...missing };
  const logs = createLogs(() => {});
  const address = { host: "127.0.0.1", port: redisServer.port, timeoutMs: TIMEOUT_MS };
  const connection = new RedisConnection(address, logs);
  const redisStore = new RedisQuotaStore(connection, keys, {
    ttlSeconds: TTL_SECONDS,
    missingLimit: DEFAULT_LIMIT,
  });
  const firestoreStore = new FirestoreQuotaStore(providers.firestore, providers.path, options);
  const sync = new QuotaSync(redisStore, firestoreStore, logs);
  const service = new QuotaService(redisStore, firestoreStore, sync, { ...missing, mode }, logs);
  return { service, sync, close: () => connection.close() };
}
