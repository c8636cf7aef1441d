import type { Keys } from "../redis/keys";
import type { RedisServers } from "../redis/redis-servers";
import { asList, asNumber, asTextOrNull } from "../redis/reply";
import { CALL_RECORD_TTL_MS, type CallRecord, type CallRecords } from "./call-records";
import { NO_DOCUMENT } from "./stored-quota";

/** The records of idempotency keys in Redis: strings, as consume-quotas reads and writes them. */
export class RedisCallRecords implements CallRecords {
  constructor(
    private readonly redis: RedisServers,
    private readonly keys: Keys,
    private readonly missingLimit: number | undefined,
  ) {}

  async findCall(providerId: string, name: string): Promise<CallRecord | undefined> {
    const key = this.keys.call(providerId, name);
    const fields = await this.redis.runFor(key, async (redis) => {
      const record = asTextOrNull(await redis.get(key));
      return record === null ? undefined : asList(record.split(":"), 3).map(asNumber);
    });
    if (fields === undefined) return undefined;
    const [cost, used, limit] = fields as [number, number, number];
    return { cost, used, ...limitOf(limit, this.missingLimit) };
  }

  async saveCall(providerId: string, name: string, call: CallRecord): Promise<void> {
    const key = this.keys.call(providerId, name);
    const record = [call.cost, call.used, call.found ? call.limit : NO_DOCUMENT].join(":");
    await this.redis.runFor(key, (redis) => redis.set(key, record, "PX", CALL_RECORD_TTL_MS));
  }

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
