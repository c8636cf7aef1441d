import type { Keys } from "../redis/keys";
import type { RedisServers } from "../redis/redis-servers";
import { asTextOrNull } from "../redis/reply";
import { CALL_RECORD_TTL_MS, type CallRecords } from "./call-records";
import { NO_DOCUMENT } from "./stored-quota";

/** The claims of idempotency keys in Redis; consume-quotas keeps the records of calls. */
export class RedisCallRecords implements CallRecords {
  constructor(
    private readonly redis: RedisServers,
    private readonly keys: Keys,
  ) {}

  async claim(providerId: string, name: string): Promise<boolean> {
    const key = this.keys.call(providerId, name);
    return this.redis.runFor(key, async (redis) => {
      const reply = asTextOrNull(await redis.set(key, "", "PX", CALL_RECORD_TTL_MS, "NX"));
      return reply !== null;
    });
  }
}

/** The limit of a provider as consume-quotas returns it, and whether the provider has a document. */
export function limitOf(
  stored: number,
  missingLimit: number | undefined,
): { readonly limit: number; readonly found: boolean } {
  const found = stored !== NO_DOCUMENT;
  return { limit: found ? stored : (missingLimit ?? 0), found };
}
