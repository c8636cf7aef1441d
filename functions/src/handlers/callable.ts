import { HttpsError } from "firebase-functions/v2/https";
import type { z } from "zod";

import { describeIssues } from "../validation";
import { toHttpsError } from "./https-errors";

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
    throw toHttpsError(error, HttpsError);
  }
}
