import { parseStoredQuota } from "../functions/dist/quota/stored-quota.js";
import { DEFAULT_LIMIT, type Stack } from "./stack.ts";

export interface Quota {
  readonly used: number;
  readonly limit: number;
}

/** All quotas as Firestore has them now, by provider id. */
export async function quotasInFirestore({ providers }: Stack): Promise<Map<string, Quota>> {
  const { docs } = await providers.select("aiCallsUsed", "aiCallsLimit").get();
  return new Map(
    docs.map((document) => {
      const { aiCallsUsed: used = 0, aiCallsLimit: limit = DEFAULT_LIMIT } = document.data();
      return [document.id, { used, limit } as Quota];
    }),
  );
}

/** The quotas of these providers that Redis holds now; a provider whose entry it has not is left out. */
export async function quotasInRedis(
  { redis, keys }: Stack,
  ids: readonly string[],
): Promise<Map<string, Quota>> {
  const entries = (await redis.mgetBuffer(ids.map((id) => keys.quota(id)))).map(parseStoredQuota);
  return new Map(
    ids.flatMap((id, index) => {
      const entry = entries[index];
      return entry && entry.limit >= 0 ? [[id, { used: entry.used, limit: entry.limit }] as const] : [];
    }),
  );
}

/** How many of the expected quotas are there, and the same. */
export function countEqual(expected: ReadonlyMap<string, Quota>, actual: ReadonlyMap<string, Quota>): number {
  return [...expected].filter(([id, { used, limit }]) => {
    const found = actual.get(id);
    return found?.used === used && found.limit === limit;
  }).length;
}

/** Takes quotas out of Redis, so that the next check of each must read Firestore. */
export async function forgetQuotas({ redis, keys }: Stack, ids: readonly string[]): Promise<void> {
  await redis.unlink(ids.map((id) => keys.quota(id)));
}
