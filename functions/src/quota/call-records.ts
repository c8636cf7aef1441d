import { formatValue, validationMessage } from "../validation";
import type { QuotaCall } from "./quota";

/** How long a call with an idempotency key is remembered. */
export const CALL_RECORD_TTL_MS = 24 * 60 * 60 * 1000;

/** What a store keeps of a call with an idempotency key: the call and its answer. */
export interface CallRecord {
  /** Negative for a refund. */
  readonly cost: number;
  readonly used: number;
  readonly limit: number;
  readonly found: boolean;
}

/** The claims that a store keeps by provider and name for {@link CALL_RECORD_TTL_MS}. */
export interface CallRecords {
  /** Takes a name, and returns whether it was free. */
  claim(providerId: string, name: string): Promise<boolean>;
}

/** Names of the records of an idempotency key: its consumption, its refund, and the claim of a repeated run. */
export const recordNames = {
  consume: (key: string) => `consume:${key}`,
  refund: (key: string) => `refund:${key}`,
  rerun: (key: string) => `rerun:${key}`,
} as const;

/** The name of a call's record; undefined without an idempotency key. */
export function callName({ cost, idempotencyKey }: QuotaCall): string | undefined {
  return idempotencyKey && recordNames[cost < 0 ? "refund" : "consume"](idempotencyKey);
}

/** The name of the record of the consumption that a refund takes back; undefined without a key, or for a consumption. */
export function refundedName({ cost, idempotencyKey }: QuotaCall): string | undefined {
  return cost < 0 ? idempotencyKey && recordNames.consume(idempotencyKey) : undefined;
}

/**
 * Decides what the records of its idempotency key make of a call: `replay` the answer of the first, `reject` a refund as
 * the key has consumed nothing, or `decide` it by the quota. The script consume-quotas does the same.
 *
 * @throws IdempotencyKeyReusedError
 */
export function assessKey(
  call: QuotaCall,
  first: Pick<CallRecord, "cost"> | undefined,
  consumption: Pick<CallRecord, "cost"> | undefined,
): "replay" | "reject" | "decide" {
  if (first) {
    if (first.cost !== call.cost) throw new IdempotencyKeyReusedError(call, first.cost);
    return "replay";
  }
  if (call.idempotencyKey === undefined || call.cost > 0) return "decide";
  if (consumption === undefined) return "reject";
  if (-call.cost > consumption.cost) throw new IdempotencyKeyReusedError(call, consumption.cost);
  return "decide";
}

/** An idempotency key came with another cost before, or a refund exceeds what its key consumed. */
export class IdempotencyKeyReusedError extends Error {
  override readonly name = "IdempotencyKeyReusedError";
  readonly code = "idempotency-key-reused";
  readonly field = "cost";

  constructor({ cost }: QuotaCall, recordedCost: number) {
    const expected =
      Math.sign(cost) === Math.sign(recordedCost)
        ? `${Math.abs(recordedCost)}, as in the first call with this idempotency key`
        : `at most ${recordedCost}, which is what this idempotency key consumed`;
    super(
      `${validationMessage("cost", expected, formatValue(Math.abs(cost)))} Use a new key for another call.`,
    );
  }
}
