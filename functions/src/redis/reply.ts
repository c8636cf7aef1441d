/**
 * A reply of a type or a length that Redis does not give to the command. Something else listens at the address, or
 * stands between. The reply itself is not shown: it can hold data.
 */
export class UnexpectedReplyError extends Error {
  override readonly name = "UnexpectedReplyError";

  constructor(expected: string, reply: unknown) {
    super(
      `expected a reply of ${expected}, got ${describe(reply)}; is there a Redis server at this address?`,
    );
  }
}

function describe(reply: unknown): string {
  if (reply === null) return "nil";
  if (Buffer.isBuffer(reply)) return `${reply.length} bytes`;
  if (Array.isArray(reply)) return `${reply.length} elements`;
  return typeof reply === "string" ? "a string" : typeof reply === "number" ? "an integer" : "another type";
}

/** The decoders throw UnexpectedReplyError; in a command they make it fail as one whose outcome is unknown. */
export function asText(reply: unknown): string {
  if (typeof reply !== "string") throw new UnexpectedReplyError("text", reply);
  return reply;
}

export function asTextOrNull(reply: unknown): string | null {
  return reply === null ? null : asText(reply);
}

/** A number, which Redis sends as an integer or, of a score or a time, as text. */
export function asNumber(reply: unknown): number {
  const number = typeof reply === "string" && reply !== "" ? Number(reply) : reply;
  if (typeof number !== "number" || Number.isNaN(number)) throw new UnexpectedReplyError("a number", reply);
  return number;
}

export function asNumberOrNull(reply: unknown): number | null {
  return reply === null ? null : asNumber(reply);
}

export function asOneOf<T>(values: readonly T[], reply: unknown): T {
  if (!values.includes(reply as T)) throw new UnexpectedReplyError(values.join(" or "), reply);
  return reply as T;
}

/** @param length how many elements it has; any number if left out */
export function asList(reply: unknown, length?: number): readonly unknown[] {
  if (!Array.isArray(reply) || (length !== undefined && reply.length !== length))
    throw new UnexpectedReplyError(length === undefined ? "a list" : `${length} elements`, reply);
  return reply;
}

/** The values of so many keys. */
export function asValues(reply: unknown, count: number): readonly (Buffer | null)[] {
  const values = asList(reply, count);
  for (const value of values)
    if (value !== null && !Buffer.isBuffer(value)) throw new UnexpectedReplyError("values", value);
  return values as readonly (Buffer | null)[];
}

/** @param length how many they are; any number if left out */
export function asBytes(reply: unknown, length?: number): Buffer {
  if (!Buffer.isBuffer(reply) || (length !== undefined && reply.length !== length))
    throw new UnexpectedReplyError(length === undefined ? "bytes" : `${length} bytes`, reply);
  return reply;
}
