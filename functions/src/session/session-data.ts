import { formatRedacted, formatValue, isMap, RESERVED_NAME, validationMessage } from "../validation";

/** What JSON and Firestore can both hold. */
export type SessionValue =
  null | boolean | number | string | readonly SessionValue[] | { readonly [name: string]: SessionValue };

/** What an app keeps in a session. */
export type SessionData = Readonly<Record<string, SessionValue>>;

/** Checks field by field that a type is session data. An interface has no index signature, so it is no {@link SessionData}. */
export type SessionFields<T> = { readonly [Name in keyof T]: SessionField<T[Name]> };

type SessionField<T> = T extends null | boolean | number | string
  ? T
  : T extends readonly (infer Element)[]
    ? readonly SessionField<Element>[]
    : T extends undefined | bigint | symbol | ((...args: never) => unknown)
      ? never
      : SessionFields<T>;

/** An object that is not an array. */
export type SessionObject = object & { readonly [Symbol.iterator]?: never };

/** Limit of a session's JSON in UTF-8. */
export const MAX_SESSION_BYTES = 65_536;

/** Firestore's limit for values within each other. */
const MAX_DEPTH = 20;

/** Firestore's limit for the name of a field. */
const MAX_NAME_BYTES = 1500;

/** A session holds something that JSON or Firestore cannot; `path` says where. */
export class InvalidSessionDataError extends Error {
  override readonly name = "InvalidSessionDataError";
  readonly code = "invalid-argument";

  constructor(
    readonly path: string,
    expected: string,
    got: string,
  ) {
    super(validationMessage(path, expected, got));
  }
}

/** A session is too large. */
export class SessionTooLargeError extends Error {
  override readonly name = "SessionTooLargeError";
  readonly code = "session-too-large";
  readonly limit = MAX_SESSION_BYTES;

  constructor(readonly bytes: number) {
    super(validationMessage("data", `at most ${MAX_SESSION_BYTES} bytes of JSON`, `${bytes} bytes`));
  }
}

/**
 * Checks that a value can be a session's data, and copies it, so that a later change of it does no harm.
 *
 * @throws InvalidSessionDataError, SessionTooLargeError
 */
export function parseSessionData(value: unknown): SessionData {
  let json: string;
  try {
    if (!isMap(value)) throw new InvalidSessionDataError("data", "a plain object", formatRedacted(value));
    checkMap(value, "data", 1);
    json = JSON.stringify(value);
  } catch (error) {
    if (error instanceof InvalidSessionDataError) throw error;
    // A getter of the value's, or a proxy.
    throw new InvalidSessionDataError("data", "a plain object", "an unreadable value");
  }
  const bytes = Buffer.byteLength(json);
  if (bytes > MAX_SESSION_BYTES) throw new SessionTooLargeError(bytes);
  return JSON.parse(json) as SessionData;
}

function checkMap(map: Readonly<Record<string, unknown>>, path: string, depth: number): void {
  for (const [name, value] of Object.entries(map)) {
    const at = `${path}.${name.length > 80 ? `${name.slice(0, 77)}...` : name}`;
    const valid =
      name !== "" &&
      name.isWellFormed() &&
      Buffer.byteLength(name) <= MAX_NAME_BYTES &&
      !RESERVED_NAME.test(name);
    if (!valid) {
      const expected = `a field with a name of 1 to ${MAX_NAME_BYTES} bytes, not __x__`;
      throw new InvalidSessionDataError(at, expected, `the name ${formatValue(name)}`);
    }
    checkValue(value, at, depth + 1);
  }
}

function checkValue(value: unknown, path: string, depth: number): void {
  // A cycle ends here as well.
  if (depth > MAX_DEPTH) {
    const expected = `at most ${MAX_DEPTH} levels deep, without cycles`;
    throw new InvalidSessionDataError(path, expected, "a deeper value");
  }
  if (value === null || typeof value === "boolean" || Number.isFinite(value)) return;
  if (typeof value === "string" && value.isWellFormed()) return;
  if (isMap(value)) return checkMap(value, path, depth);
  if (!Array.isArray(value)) {
    const expected = typeof value === "string" ? "well-formed Unicode" : "a JSON value";
    throw new InvalidSessionDataError(path, expected, formatRedacted(value));
  }
  // Not forEach, which passes over what is missing.
  for (const [i, element] of value.entries()) {
    const at = `${path}[${i}]`;
    if (Array.isArray(element)) {
      throw new InvalidSessionDataError(at, "no array, as Firestore holds none within an array", "an array");
    }
    checkValue(element, at, depth + 1);
  }
}
