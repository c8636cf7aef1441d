import type { Keys } from "../redis/keys";
import { consumeQuotas } from "../redis/lua.generated";
import type { RedisServers } from "../redis/redis-servers";
import { asBytes } from "../redis/reply";
import { runScriptForBuffer } from "../redis/script";
import { CALL_RECORD_TTL_MS, callName, refundedName } from "./call-records";
import type { QuotaCall } from "./quota";
import { limitOf } from "./redis-call-records";
import { NOT_KNOWN } from "./stored-quota";

/** What Redis decides of a call; a miss must be read from Firestore first. */
export type ConsumeOutcome =
  | {
      readonly kind: "accepted" | "refused";
      readonly used: number;
      readonly limit: number;
      readonly found: boolean;
      /** Whether this is the answer of an earlier call with the same idempotency key. */
      readonly replayed: boolean;
    }
  | { readonly kind: "key-reused"; readonly recordedCost: number }
  | { readonly kind: "miss" };

/** What consume-quotas returns of a call with an idempotency key, if it is not 0. */
const REPLAYED = 1;
const KEY_REUSED = 2;

/** From this many calls on, all dirty indexes are passed: the calls concern most of them. */
const LARGE_BATCH = 16;

/** Bytes of a double. */
const DOUBLE = 8;

/**
 * Decides calls in one command, in order, and counts those that are within their quotas.
 *
 * @throws RedisUnavailableError
 */
export async function consumeCalls(
  redis: RedisServers,
  keys: Keys,
  {
    missingLimit,
    calls,
  }: { readonly missingLimit: number | undefined; readonly calls: readonly QuotaCall[] },
): Promise<ConsumeOutcome[]> {
  const dirty =
    calls.length >= LARGE_BATCH && !redis.isCluster
      ? keys.allDirty()
      : [...new Set(calls.map(({ providerId }) => keys.dirty(providerId)))];
  const records: string[] = [];
  const recorded: number[] = [];
  const fateAt = new Map<number, number>();
  for (const [i, call] of calls.entries()) {
    const name = callName(call);
    if (name === undefined) continue;
    fateAt.set(i, DOUBLE * (2 * calls.length + fateAt.size));
    records.push(keys.call(call.providerId, name));
    recorded.push(i + 1);
    const refunded = refundedName(call);
    if (refunded === undefined) continue;
    records.push(keys.call(call.providerId, refunded));
    recorded.push(-(i + 1));
  }
  const input = {
    missingLimit: missingLimit ?? -1,
    recordTtlMs: CALL_RECORD_TTL_MS,
    count: calls.length,
    calls: [...calls.map(({ cost }) => cost), ...recorded],
    keys: [...calls.map(({ providerId }) => keys.quota(providerId)), ...dirty, ...records],
  };
  const reply = await runScriptForBuffer(redis, consumeQuotas, input, (numbers) =>
    asBytes(numbers, DOUBLE * (2 * calls.length + fateAt.size)),
  );
  return calls.map((_, i) => {
    const used = reply.readDoubleLE(2 * DOUBLE * i);
    const limit = reply.readDoubleLE(2 * DOUBLE * i + DOUBLE);
    const at = fateAt.get(i);
    const fate = at === undefined ? 0 : reply.readDoubleLE(at);
    if (fate === KEY_REUSED) return { kind: "key-reused", recordedCost: used };
    if (limit === NOT_KNOWN) return { kind: "miss" };
    return {
      kind: used < 0 ? "refused" : "accepted",
      used: used < 0 ? -1 - used : used,
      ...limitOf(limit, missingLimit),
      replayed: fate === REPLAYED,
    };
  });
}
