import { show } from "../validation";

/** What of a call is wrong: `field` names it. */
export class InvalidRateLimitCallError extends Error {
  override readonly name = "InvalidRateLimitCallError";
  readonly code = "invalid-argument";

  constructor(
    readonly field: "policy" | "subject" | "cost" | "untilMs",
    received: unknown,
    expected: string,
  ) {
    super(`${field}: ${received === undefined ? "not set" : `got ${show(received)}`}; expected ${expected}`);
  }
}
