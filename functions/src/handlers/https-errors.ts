import type { HttpsError } from "firebase-functions/v2/https";

import { ConfigError } from "../config/config";
import { FirestoreUnavailableError } from "../firestore";
import { IdempotencyKeyReusedError } from "../quota/call-records";
import { InstallationConflictError } from "../quota/installations";
import { InvalidQuotaDocumentError } from "../quota/quota";
import { QuotaOutcomeUnknownError, RerunClaimError } from "../quota/outcome-errors";
import type { QuotaConsumption } from "../quota/quota-service";
import type { Decision } from "../rate-limit/decision";
import { InvalidPolicies } from "../rate-limit/policy";
import { CallerUnknownError } from "../rate-limit/subject";
import { InvalidArgumentError } from "../validation";

/**
 * Firebase knows its errors by their class, of which `import` and `require` of firebase-functions have one each: so it is
 * the class of who throws.
 */
export type HttpsErrorClass = typeof HttpsError;

/** The error that a client may see; anything unexpected as it is. */
export function toHttpsError(error: unknown, HttpsError: HttpsErrorClass): unknown {
  if (error instanceof InvalidArgumentError) return new HttpsError(error.code, error.message);
  if (error instanceof IdempotencyKeyReusedError) return new HttpsError("invalid-argument", error.message);
  if (error instanceof CallerUnknownError) return new HttpsError(error.code, error.message);
  if (error instanceof QuotaOutcomeUnknownError) {
    const { idempotencyKey } = error;
    const message = idempotencyKey
      ? "The call may have been counted; repeat it with the same idempotencyKey to learn whether it was."
      : "The call may have been counted; with an idempotencyKey it could be repeated safely.";
    return new HttpsError("deadline-exceeded", message, { outcome: "unknown", idempotencyKey });
  }
  if (error instanceof RerunClaimError) {
    const { idempotencyKey, outcome } = error;
    const remedy = "repeat it with the same idempotencyKey.";
    return outcome === "unknown"
      ? new HttpsError(
          "deadline-exceeded",
          `The call was counted but not run; ${remedy} If that answers already-exists, use a new key.`,
          { outcome: "claim-unknown", idempotencyKey },
        )
      : new HttpsError("unavailable", `The call was counted but not run; ${remedy}`);
  }
  if (error instanceof InvalidQuotaDocumentError) {
    // Its value may be nobody else's business; the log shows it.
    const message = `The provider's document is invalid: ${error.field} is no whole number of 0 or more.`;
    return new HttpsError("failed-precondition", message);
  }
  if (error instanceof FirestoreUnavailableError) {
    return new HttpsError("unavailable", "Neither Redis nor Firestore gave an answer; try again.");
  }
  if (error instanceof ConfigError) {
    const names = [...new Set(error.problems.map(({ param }) => param))].join(", ");
    return new HttpsError(
      "failed-precondition",
      `Invalid configuration (${names}); the function's log says why.`,
    );
  }
  if (error instanceof InstallationConflictError) {
    return new HttpsError(
      "failed-precondition",
      "Redis counts the usage of another installation; the function's log says why.",
    );
  }
  if (error instanceof InvalidPolicies) {
    return new HttpsError(
      "failed-precondition",
      "The policy's document is invalid; the function's log says why.",
    );
  }
  return error;
}

/** What a client sees of a refusal by a rate limit: the decision is in the details. */
export function refusedByRateLimit(decision: Decision, HttpsError: HttpsErrorClass): HttpsError {
  const { limit, windowMs, retryAfterMs, reason } = decision;
  const again = `try again in ${Math.ceil(retryAfterMs / 1000)} s.`;
  switch (reason) {
    case "redis-unavailable":
      return new HttpsError("unavailable", `The rate limit cannot be checked now; ${again}`, decision);
    case "blocked":
      return new HttpsError("resource-exhausted", `Blocked; ${again}`, decision);
    case "limit-reached":
    case "within-limit":
      return new HttpsError(
        "resource-exhausted",
        `Rate limit reached: ${limit} per ${windowMs / 1000} s; ${again}`,
        decision,
      );
  }
}

/** What a client sees of a refusal by a quota: where the provider stands is in the details. */
export function refusedByQuota(consumption: QuotaConsumption, HttpsError: HttpsErrorClass): HttpsError {
  const { used, limit } = consumption;
  return new HttpsError("resource-exhausted", `Quota reached: ${used} of ${limit} used.`, consumption);
}

/** What a client sees of a repeated request whose handler is not run again. */
export function alreadyRun(HttpsError: HttpsErrorClass): HttpsError {
  return new HttpsError(
    "already-exists",
    "A request with this idempotencyKey has already run. Use a new key to run it again.",
  );
}
