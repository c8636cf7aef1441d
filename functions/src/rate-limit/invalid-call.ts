import { formatRedacted, formatValue, validationMessage } from "../validation";

/** An argument of a call is invalid; `field` names it. The message does not show a subject, which may be an API key. */
export class InvalidRateLimitCallError extends Error {
  override readonly name = "InvalidRateLimitCallError";
  readonly code = "invalid-argument";

  constructor(
    readonly field: "policy" | "subject" | "cost" | "untilMs",
    received: unknown,
    expected: string,
  ) {
    const format = field === "subject" ? formatRedacted : formatValue;
    super(validationMessage(field, expected, format(received)));
  }
}
