import { InvalidRateLimitCallError } from "./invalid-call";
import type { Policy } from "./policy";

/** What a subject is, as an error says it. */
export const SUBJECT = "1 to 256 characters without control characters";

/** Who asks, as far as it is known. */
export interface Caller {
  /** Of the signed-in user. */
  readonly uid: string | undefined;
  /** Of the app that App Check vouches for. */
  readonly appId: string | undefined;
  readonly ip: string | undefined;
}

/** A policy limits by something that the caller has not shown; `missing` says what. */
export class CallerUnknownError extends Error {
  override readonly name = "CallerUnknownError";
  readonly code = "unauthenticated";

  constructor(readonly missing: "uid" | "app") {
    super(missing === "uid" ? "Sign in first." : "A valid App Check token is required.");
  }
}

/**
 * Whom a policy limits when this caller asks. `named` is the subject of a policy by subject.
 *
 * @throws CallerUnknownError, InvalidRateLimitCallError
 */
export function subjectOf({ name, by }: Policy, caller: Caller, named?: string): string {
  if (by !== "subject" && named !== undefined) {
    const expected = `unset for the policy ${name}, which limits by ${by}`;
    throw new InvalidRateLimitCallError("subject", named, expected);
  }
  switch (by) {
    case "uid":
      if (caller.uid === undefined) throw new CallerUnknownError("uid");
      return caller.uid;
    case "ip":
      return caller.ip ?? "unknown";
    case "app":
      if (caller.appId === undefined) throw new CallerUnknownError("app");
      return caller.appId;
    case "subject":
      if (named === undefined) throw new InvalidRateLimitCallError("subject", undefined, SUBJECT);
      return named;
    case "global":
      return "global";
  }
}
