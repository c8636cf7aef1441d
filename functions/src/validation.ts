import { types } from "node:util";

import * as v from "valibot";

const MAX_CHARACTERS = 80;
const MAX_DEPTH = 3;

/**
 * Words a validation error: ``Expected `cost` to be a whole number, 1 or more; got 0.``
 *
 * @param field name or path of the value
 * @param expected the valid values
 * @param got the value, as {@link formatValue} or {@link formatRedacted} returns it
 */
export function validationMessage(field: string, expected: string, got: string): string {
  return `Expected \`${field}\` to be ${expected}; got ${got}.`;
}

/** An argument of a call is invalid; `field` names it. */
export class InvalidArgumentError extends Error {
  override readonly name: string = "InvalidArgumentError";
  readonly code = "invalid-argument";

  constructor(
    readonly field: string,
    expected: string,
    got: string,
  ) {
    super(validationMessage(field, expected, got));
  }
}

/**
 * Copies an optional argument that is an object of options. The values of its fields are for others to check.
 *
 * @param names the fields that there are
 * @param argument the argument's name in messages
 * @throws InvalidArgumentError for another value than a plain object, and for unknown fields
 */
export function readOptions<Options extends object>(
  value: Options | undefined,
  names: readonly (keyof Options & string)[],
  argument = "options",
): Partial<Options> {
  if (value === undefined) return {};
  const invalid = (got: string) =>
    new InvalidArgumentError(argument, `an object with only ${names.join(", ")}`, got);
  let options: Partial<Options> | undefined;
  try {
    // Getters run here, once.
    if (isMap(value)) options = { ...value };
  } catch {
    throw invalid("an unreadable value");
  }
  if (options === undefined) throw invalid(formatValue(value));
  for (const name in options)
    if (!(names as readonly string[]).includes(name)) throw invalid(`the unknown field ${formatValue(name)}`);
  return options;
}

/** Formats any value for an error message, in at most 80 characters. Never throws. */
export function formatValue(value: unknown): string {
  try {
    return shorten(format(value, MAX_DEPTH));
  } catch {
    return "an unreadable value";
  }
}

/** Formats a value that may be a secret: the length of a string, and the type of an object. */
export function formatRedacted(value: unknown): string {
  if (typeof value === "string" && value !== "") return `a string of ${value.length} characters`;
  if (Array.isArray(value)) return "an array";
  return typeof value === "object" && value !== null ? formatClass(value) : formatValue(value);
}

function format(value: unknown, depth: number): string {
  if (typeof value === "string") return JSON.stringify(value.slice(0, MAX_CHARACTERS));
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "function") return "a function";
  return typeof value === "object" && value !== null ? formatObject(value, depth) : String(value);
}

function formatObject(object: object, depth: number): string {
  if (types.isProxy(object)) return "a Proxy";
  if (Array.isArray(object)) return depth === 0 ? "[...]" : `[${formatItems(object, depth)}]`;
  const prototype: unknown = Object.getPrototypeOf(object);
  if (prototype !== null && Object.getPrototypeOf(prototype) !== null) return formatClass(object);
  return depth === 0 ? "{...}" : `{${formatItems(object, depth)}}`;
}

/** The elements of an array, or the fields of an object, as far as they are shown. */
function formatItems(object: object, depth: number): string {
  let items = "";
  for (const key of Object.keys(object).slice(0, MAX_CHARACTERS)) {
    if (items.length > MAX_CHARACTERS) break;
    const property = Object.getOwnPropertyDescriptor(object, key);
    const item = property && "value" in property ? format(property.value, depth - 1) : "[getter]";
    items += `${items && ","}${Array.isArray(object) ? "" : `${format(key, 0)}:`}${item}`;
  }
  return items;
}

function formatClass(object: object): string {
  try {
    const { name } =
      (object as Partial<Record<"constructor", { readonly name?: unknown }>>).constructor ?? {};
    if (typeof name === "string" && name !== "" && !types.isProxy(object))
      return name === "Object" ? "an object" : `an instance of ${shorten(name)}`;
  } catch {
    // The constructor is the value's own.
  }
  return "an object";
}

function shorten(text: string): string {
  return text.length > MAX_CHARACTERS ? `${text.slice(0, MAX_CHARACTERS - 3).toWellFormed()}...` : text;
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

/** Unknown fields that are reported of one object, at most. */
const MAX_UNKNOWN_FIELDS = 3;

/** Marks the issue of an unknown field. */
const UNKNOWN_FIELD = "never";

/**
 * A schema of an object with these fields and no others. The message of a schema, `what` here, is the valid values as
 * they follow "Expected `field` to be". A missing field has the message of its own schema.
 */
export function onlyFields<const Entries extends v.ObjectEntries>(entries: Entries, what: string) {
  const schema = v.object(entries, ({ path }): string => {
    const field = path?.[0]?.key as string | undefined;
    const { message } = (field === undefined ? {} : entries[field]) as { readonly message?: unknown };
    return typeof message === "string" ? message : what;
  });
  return v.pipe(
    v.custom<v.InferInput<v.ObjectSchema<Entries, undefined>>>(isMap, what),
    v.rawTransform(({ dataset, addIssue, NEVER }): v.InferOutput<v.ObjectSchema<Entries, undefined>> => {
      const input: Readonly<Record<string, unknown>> = dataset.value;
      const { success, output, issues = [] } = v.safeParse(schema, input);
      for (const { message, expected, path } of issues)
        addIssue({ message, ...(expected !== null && { expected }), ...(path && { path }) });
      const unknown = Object.keys(input).filter((key) => !Object.hasOwn(entries, key));
      for (const key of unknown.slice(0, MAX_UNKNOWN_FIELDS)) {
        const at = { type: "object", origin: "key", input, key, value: input[key] } as const;
        addIssue({ message: what, expected: UNKNOWN_FIELD, path: [at] });
      }
      return success ? output : NEVER;
    }),
  );
}

/** How messages name a value that a schema parses. */
export interface Names {
  /** The value itself. */
  readonly whole: string;
  /** Path before the paths of its fields; none by default. */
  readonly prefix?: string;
  /** Fields whose values, or the elements of them, may be secrets. Messages redact them. */
  readonly redacted?: readonly string[];
}

/** Parses a value with a schema. Returns the output, or one validation message per problem. */
export function parse<Schema extends v.GenericSchema>(
  schema: Schema,
  input: unknown,
  names: Names,
): { readonly output: v.InferOutput<Schema> } | { readonly problems: readonly string[] } {
  try {
    const { success, output, issues } = v.safeParse(schema, input);
    return success
      ? { output }
      : { problems: [...new Set(issues.map((issue) => describe(issue, input, names)))] };
  } catch {
    return { problems: [validationMessage(...unreadable(names))] };
  }
}

/**
 * Parses an argument with a schema.
 *
 * @throws InvalidArgumentError for the first problem
 */
export function parseArgument<Schema extends v.GenericSchema>(
  schema: Schema,
  input: unknown,
  names: Names,
): v.InferOutput<Schema> {
  let problem: Problem;
  try {
    const { success, output, issues } = v.safeParse(schema, input);
    if (success) return output;
    problem = problemOf(issues[0], input, names);
  } catch {
    problem = unreadable(names);
  }
  throw new InvalidArgumentError(...problem);
}

/** The parts of a validation message. */
type Problem = [field: string, expected: string, got: string];

/** The problem of a value with a getter that throws, or of a proxy. */
function unreadable({ whole }: Names): Problem {
  return [whole, "a readable value", "an unreadable value"];
}

function describe(issue: v.BaseIssue<unknown>, input: unknown, names: Names): string {
  return validationMessage(...problemOf(issue, input, names));
}

function problemOf({ path, expected, message }: v.BaseIssue<unknown>, input: unknown, names: Names): Problem {
  const keys = path?.map(({ key }) => key as PropertyKey) ?? [];
  if (expected === UNKNOWN_FIELD) {
    return [pathOf(keys.slice(0, -1), names), message, `the unknown field ${formatValue(keys.at(-1))}`];
  }
  // An issue has the value as transformations left it.
  const received = keys.reduce<unknown>(
    (value, key) => (value as Record<PropertyKey, unknown> | undefined)?.[key],
    input,
  );
  const field = keys.findLast((key) => typeof key === "string");
  const isRedacted = field !== undefined && names.redacted?.includes(field);
  const got = (isRedacted ? formatRedacted : formatValue)(received);
  return [pathOf(keys, names), message, got];
}

function pathOf(keys: readonly PropertyKey[], { whole, prefix = "" }: Names): string {
  const path = keys.reduce<string>(
    (before, key) =>
      typeof key === "number" ? `${before}[${key}]` : before ? `${before}.${String(key)}` : String(key),
    prefix,
  );
  return keys.length === 0 ? whole : path;
}
