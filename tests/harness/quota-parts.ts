import type { CollectionReference, Firestore } from "@google-cloud/firestore";

import { FirestoreQuotaStore } from "../../functions/src/quota/firestore-quota-store.ts";
import { missingLimit } from "../../functions/src/quota/quota.ts";
import { QuotaMirror } from "../../functions/src/quota/quota-mirror.ts";
import { QuotaService, type QuotaMode } from "../../functions/src/quota/quota-service.ts";
import { QuotaSync } from "../../functions/src/quota/quota-sync.ts";
import { RedisQuotaStore } from "../../functions/src/quota/redis-quota-store.ts";
import { Keys } from "../../functions/src/redis/keys.ts";
import type { RedisServers } from "../../functions/src/redis/redis-servers.ts";
import { recordLogs } from "./recorded-logs.ts";
import { uniquePrefix } from "./test-redis.ts";

export interface QuotaPartsOptions {
  readonly firestore: Firestore;
  readonly redis: RedisServers;
  readonly mode?: QuotaMode;
  readonly missingProvider?: "default-limit" | "deny";
  readonly onChange?: "update" | "invalidate";
  /** Parts whose collection and keys these share, like another instance of the same functions. */
  readonly beside?: { readonly collection: CollectionReference; readonly keys: Keys };
  readonly firestoreTimeoutMs?: number;
}

/** The product's quota parts, put together as in a function, on a collection and keys of their own. */
export function assembleQuotaParts({
  firestore,
  redis,
  mode = "dual-write",
  missingProvider = "default-limit",
  onChange = "update",
  beside = { collection: firestore.collection(uniquePrefix()), keys: new Keys(uniquePrefix()) },
  firestoreTimeoutMs,
}: QuotaPartsOptions) {
  const { collection, keys } = beside;
  const options = {
    usedField: "aiCallsUsed",
    limitField: "aiCallsLimit",
    defaultLimit: 100,
    missingProvider,
  };
  const recorded = recordLogs();
  const redisStore = new RedisQuotaStore(redis, keys, {
    ttlSeconds: 300,
    missingLimit: missingLimit(options),
  });
  const firestoreStore = new FirestoreQuotaStore(() => firestore, collection.id, options, firestoreTimeoutMs);
  const sync = new QuotaSync(redisStore, firestoreStore, recorded.logs);
  return {
    collection,
    keys,
    recorded,
    redisStore,
    firestoreStore,
    sync,
    service: new QuotaService(
      redisStore,
      firestoreStore,
      sync,
      { ...options, mode },
      recorded.logs,
      recorded.metrics,
    ),
    mirror: new QuotaMirror(redisStore, { ...options, onChange }, recorded.logs, recorded.metrics),
  };
}
