import { HttpsError } from "firebase-functions/v2/https";
import type * as v from "valibot";

import { parse } from "../validation";
import { toHttpsError } from "./https-errors";

/**
 * Parses a call's data.
 *
 * @throws HttpsError invalid-argument naming each bad field and what was received.
 */
export function parseInput<Schema extends v.GenericSchema>(
  schema: Schema,
  data: unknown,
): v.InferOutput<Schema> {
  const result = parse(schema, data, { whole: "data", redacted: ["subject"] });
  if ("output" in result) return result.output;
  throw new HttpsError("invalid-argument", result.problems.join(" "));
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
