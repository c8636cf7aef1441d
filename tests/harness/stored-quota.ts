import type { Redis } from "ioredis";

import { parseStoredQuota, type StoredQuota } from "../../functions/src/quota/stored-quota.ts";

/** What an entry holds now. */
export async function storedQuota(redis: Redis, key: string): Promise<StoredQuota | undefined> {
  return parseStoredQuota(await redis.getBuffer(key));
}

/** A clean entry: of these fields, and nothing on its way to Firestore. */
export function clean(
  fields: Pick<StoredQuota, "used" | "limit" | "version"> & Partial<StoredQuota>,
): StoredQuota {
  return { flushId: 0, pending: 0, inFlight: 0, ...fields };
}
