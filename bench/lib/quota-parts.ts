import { Firestore } from "@google-cloud/firestore";
import { createLogs, type LogSink } from "../../functions/dist/observability/logs.js";
import { Metrics } from "../../functions/dist/observability/metrics.js";
import { FirestoreQuotaStore } from "../../functions/dist/quota/firestore-quota-store.js";
import { QuotaMirror } from "../../functions/dist/quota/quota-mirror.js";
import { QuotaService, type QuotaMode } from "../../functions/dist/quota/quota-service.js";
import { QuotaSync } from "../../functions/dist/quota/quota-sync.js";
import { RedisQuotaStore } from "../../functions/dist/quota/redis-quota-store.js";
import { RedisConnection } from "../../functions/dist/redis/connection.js";
import { Keys } from "../../functions/dist/redis/keys.js";

export const FIELDS = { usedField: "aiCallsUsed", limitField: "aiCallsLimit", defaultLimit: 100 } as const;
export const KEYS = new Keys("frq");

export interface QuotaPartsOptions {
  readonly redisPort: number;
  /** Collection of the provider documents. */
  readonly collectionPath: string;
  readonly redisTimeoutMs?: number;
  readonly mode?: QuotaMode;
  readonly log?: LogSink;
}

/** The built package's quota parts, put together as in a function. */
export function assembleQuotaParts({
  redisPort,
  collectionPath,
  redisTimeoutMs = 1000,
  mode = "redis-primary",
  log = () => {},
}: QuotaPartsOptions) {
  const options = { ...FIELDS, missingProvider: "default-limit" as const };
  const logs = createLogs(log);
  const metrics = new Metrics(logs);
  const connection = new RedisConnection(
    { host: "127.0.0.1", port: redisPort, timeoutMs: redisTimeoutMs },
    logs,
  );
  const firestore = new Firestore({ projectId: "demo-bench" });
  const redisStore = new RedisQuotaStore(connection, KEYS, {
    ttlSeconds: 300,
    missingLimit: FIELDS.defaultLimit,
  });
  const firestoreStore = new FirestoreQuotaStore(() => firestore, collectionPath, options);
  const sync = new QuotaSync(redisStore, firestoreStore, logs);
  return {
    connection,
    firestore,
    redisStore,
    sync,
    service: new QuotaService(redisStore, firestoreStore, sync, { ...options, mode }, logs, metrics),
    mirror: new QuotaMirror(redisStore, { ...options, onChange: "update" }, logs, metrics),
    async close(): Promise<void> {
      connection.close();
      // Refused while a BulkWriter has not been closed; there is nothing left to send.
      await firestore.terminate().catch(() => {});
    },
  };
}
