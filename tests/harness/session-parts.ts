import type { CollectionReference, Firestore } from "@google-cloud/firestore";

import { Keys } from "../../functions/src/redis/keys.ts";
import type { RedisServers } from "../../functions/src/redis/redis-servers.ts";
import { FirestoreSessionStore } from "../../functions/src/session/firestore-session-store.ts";
import { RedisSessionStore } from "../../functions/src/session/redis-session-store.ts";
import { SessionMirror } from "../../functions/src/session/session-mirror.ts";
import { SessionService, type SessionMode } from "../../functions/src/session/session-service.ts";
import { recordLogs } from "./recorded-logs.ts";
import { uniquePrefix } from "./test-redis.ts";

export interface SessionPartsOptions {
  readonly firestore: Firestore;
  readonly redis: RedisServers;
  readonly mode?: SessionMode;
  /** Parts whose collection and keys these share, like another instance of the same functions. */
  readonly beside?: { readonly collection: CollectionReference; readonly keys: Keys };
  readonly firestoreTimeoutMs?: number;
}

/** The product's session parts, put together as in a function, on a collection and keys of their own. */
export function assembleSessionParts({
  firestore,
  redis,
  mode = "dual-write",
  beside = { collection: firestore.collection(uniquePrefix()), keys: new Keys(uniquePrefix()) },
  firestoreTimeoutMs,
}: SessionPartsOptions) {
  const { collection, keys } = beside;
  const options = { collectionPath: collection.id, ttlSeconds: 3600, mode };
  const recorded = recordLogs();
  const redisStore = new RedisSessionStore(redis, keys, options, recorded.logs);
  const firestoreStore = new FirestoreSessionStore(
    () => firestore,
    options,
    recorded.logs,
    firestoreTimeoutMs,
  );
  return {
    collection,
    keys,
    recorded,
    redisStore,
    firestoreStore,
    service: new SessionService(redisStore, firestoreStore, options, recorded.logs),
    mirror: new SessionMirror(redisStore, recorded.logs),
  };
}
