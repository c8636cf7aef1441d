import type { z } from "zod";

/** Shows a value in an error message: JSON, shortened; what JSON cannot say by its JavaScript name. */
export function show(value: unknown): string {
  const json = typeof value === "number" ? String(value) : (JSON.stringify(value) ?? String(value));
  return json.length > 80 ? `${json.slice(0, 77)}...` : json;
}

/** Names that Firestore keeps for itself. */
export const RESERVED_NAME = /^__.*__$/s;

/** Whether a value can be the id of a Firestore document. */
export function isDocumentId(value: unknown): value is string {
  return (
    typeof value === "string" &&
    value.length > 0 &&
    Buffer.byteLength(value) <= 1500 &&
    value.isWellFormed() &&
    !value.includes("/") &&
    value !== "." &&
    value !== ".." &&
    !RESERVED_NAME.test(value)
  );
}

/** Whether a value is a plain object: no array, and no instance of a class. */
export function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

/** Names that callers choose: they become parts of keys, and are written to logs. */
export const CALLERS_NAME = /^[^\p{Cc}\p{Cs}]{1,256}$/u;

/**
 * One line per problem: the field, what was received and what is valid. The schemas' messages are written as the
 * clause behind "expected".
 */
export function describeIssues(error: z.ZodError, input: unknown): string[] {
  return error.issues.map((issue) => {
    const field = issue.path.reduce<string>(
      (path, key) =>
        typeof key === "number" ? `${path}[${key}]` : path ? `${path}.${String(key)}` : String(key),
      "",
    );
    const at = field ? `${field}: ` : "";
    if (issue.code === "unrecognized_keys") {
      return `${at}got the unknown field ${issue.keys.slice(0, 3).map(show).join(", ")}; expected ${issue.message}`;
    }
    const received = issue.path.reduce<unknown>(
      (value, key) => (value as Record<PropertyKey, unknown>)?.[key],
      input,
    );
    return `${at}${received === undefined ? "not set" : `got ${show(received)}`}; expected ${issue.message}`;
  });
}
