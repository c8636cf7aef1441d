import { formatRedacted, formatValue, InvalidArgumentError } from "../validation";

/** An argument of a call is invalid; `field` names it. The message does not show a subject, which may be an API key. */
export class InvalidRateLimitCallError extends InvalidArgumentError {
  override readonly name = "InvalidRateLimitCallError";

  constructor(
    field: "policy" | "subject" | "cost" | "peek" | "untilMs",
    received: unknown,
    expected: string,
  ) {
    super(field, expected, (field === "subject" ? formatRedacted : formatValue)(received));
  }
}
