import type { FirestoreUnavailableError } from "../firestore";
import type { RedisUnavailableError } from "../redis/connection";

/**
 * Whether a call was counted is not known: Redis or Firestore was asked and the answer did not arrive. Repeat the call with the same
 * idempotency key to learn it; without one it may have been counted.
 */
export class QuotaOutcomeUnknownError extends Error {
  override readonly name = "QuotaOutcomeUnknownError";
  readonly code = "outcome-unknown";

  constructor(
    readonly idempotencyKey: string | undefined,
    override readonly cause: Error,
  ) {
    super(
      idempotencyKey === undefined
        ? `The call may have been counted: ${cause.message}`
        : `The call may have been counted; repeat it with the idempotency key ${idempotencyKey}: ${cause.message}`,
    );
  }
}

/**
 * The repeated run of a call could not be claimed: Redis or Firestore gave no answer. The call itself was counted before.
 * `outcome` tells whether the run may have been claimed nevertheless; then a repeated claim returns false.
 */
export class RerunClaimError extends Error {
  override readonly name = "RerunClaimError";
  readonly code = "rerun-not-claimed";
  readonly outcome: "not-executed" | "unknown";

  constructor(
    readonly idempotencyKey: string,
    override readonly cause: RedisUnavailableError | FirestoreUnavailableError,
  ) {
    const claimed = cause.outcome === "unknown" ? "may or may not have been claimed" : "was not claimed";
    super(
      `The call with the idempotency key ${idempotencyKey} was counted; its repeated run ${claimed}: ${cause.message}`,
    );
    this.outcome = cause.outcome;
  }
}
