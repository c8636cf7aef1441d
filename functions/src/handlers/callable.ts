import { HttpsError } from "firebase-functions/v2/https";
import type { z } from "zod";

import { ConfigError } from "../config/config";
import { FirestoreUnavailableError } from "../firestore";
import {
  InvalidCostError,
  InvalidIdempotencyKeyError,
  InvalidProviderIdError,
  InvalidQuotaDocumentError,
} from "../quota/quota";
import { QuotaOutcomeUnknownError } from "../quota/quota-service";
import { InvalidRateLimitCallError } from "../rate-limit/rate-limiter";
import { describeIssues } from "../validation";

const INVALID_ARGUMENT = [
  InvalidProviderIdError,
  InvalidCostError,
  InvalidIdempotencyKeyError,
  InvalidRateLimitCallError,
];

/**
 * Parses a call's data.
 *
 * @throws HttpsError invalid-argument naming each bad field and what was received.
 */
export function parseInput<T>(schema: z.ZodType<T>, data: unknown): T {
  const result = schema.safeParse(data);
  if (result.success) return result.data;
  throw new HttpsError("invalid-argument", describeIssues(result.error, data).join("; "));
}

/**
 * Answers a call with what `answer` returns, or with the error that a client may see. Anything unexpected is left to
 * Firebase, which logs it and answers "internal".
 */
export async function answerCall<T>(answer: () => Promise<T>): Promise<T> {
  try {
    return await answer();
  } catch (error) {
    throw toHttpsError(error);
  }
}

function toHttpsError(error: unknown): unknown {
  if (INVALID_ARGUMENT.some((kind) => error instanceof kind)) {
    return new HttpsError("invalid-argument", (error as Error).message);
  }
  if (error instanceof QuotaOutcomeUnknownError) {
    const { idempotencyKey } = error;
    const message = idempotencyKey
      ? "The call may have been counted; repeat it with the same idempotencyKey to learn whether it was."
      : "The call may have been counted; with an idempotencyKey it could be repeated safely.";
    return new HttpsError("deadline-exceeded", message, { outcome: "unknown", idempotencyKey });
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
  return error;
}
