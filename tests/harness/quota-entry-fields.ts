import type { Redis } from "ioredis";

import { decodeQuotaEntry, INVALIDATED, NO_DOCUMENT } from "../../functions/src/quota/quota-entry";

/**
 * What an entry holds, by the letters that docs/consistency.md uses, without what is 0 or nothing: of a tombstone `v`
 * alone, of an invalidated entry `v` and `x`.
 */
export async function entryFields(redis: Redis, key: string): Promise<Record<string, string>> {
  const entry = decodeQuotaEntry(await redis.getBuffer(key));
  if (entry === undefined) return {};
  const { used, limit, version, pending, inFlight, flushId, marker } = entry;
  const fields = {
    ...(limit >= 0 && { u: used, l: limit }),
    v: version,
    ...(limit === INVALIDATED && { x: 1 }),
    ...(pending !== 0 && { p: pending }),
    ...(flushId !== 0 && { f: inFlight, i: flushId }),
    ...(marker !== 0 && { m: marker }),
  };
  if (limit < 0 && used !== 0) throw new Error(`an entry without a quota has used ${used}`);
  if (limit < INVALIDATED || NO_DOCUMENT < limit !== limit >= 0)
    throw new Error(`an entry has limit ${limit}`);
  if (flushId === 0 && inFlight !== 0) throw new Error(`${inFlight} in flight without a flush`);
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, String(value)]));
}
