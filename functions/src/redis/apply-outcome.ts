import { asOneOf } from "./reply";

const APPLY_OUTCOMES = ["applied", "superseded", "late"] as const;

/**
 * The outcome of applying a snapshot: `applied`; `superseded` because Redis has the same version or a newer one; or `late`
 * because the snapshot is too old to make an entry where there is none.
 */
export type ApplyOutcome = (typeof APPLY_OUTCOMES)[number];

/** Decodes the reply of a script that applies a snapshot. */
export function asApplyOutcome(reply: unknown): ApplyOutcome {
  return asOneOf(APPLY_OUTCOMES, reply);
}
