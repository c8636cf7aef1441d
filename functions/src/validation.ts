import * as v from "valibot";

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

/** So many fields that an object should not have are told of. */
const MAX_UNKNOWN_FIELDS = 3;

/** What a field is expected to be that a schema does not have. */
const UNKNOWN_FIELD = "never";

/**
 * A schema of an object with these fields and no others. The messages of schemas, `what` here, are written as the clause
 * behind "expected"; of a field that is missing its own schema's is shown.
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

/** What a schema makes of a value, or one line per problem: the field, what was received and what is valid. */
export function parse<Schema extends v.GenericSchema>(
  schema: Schema,
  input: unknown,
): { readonly output: v.InferOutput<Schema> } | { readonly problems: readonly string[] } {
  const { success, output, issues } = v.safeParse(schema, input);
  return success ? { output } : { problems: [...new Set(issues.map((issue) => describe(issue, input)))] };
}

function describe({ path, expected, message }: v.BaseIssue<unknown>, input: unknown): string {
  const keys = path?.map(({ key }) => key as PropertyKey) ?? [];
  if (expected === UNKNOWN_FIELD)
    return `${at(keys.slice(0, -1))}got the unknown field ${show(keys.at(-1))}; expected ${message}`;
  // An issue has the value as transformations left it.
  const received = keys.reduce<unknown>(
    (value, key) => (value as Record<PropertyKey, unknown> | undefined)?.[key],
    input,
  );
  return `${at(keys)}${received === undefined ? "not set" : `got ${show(received)}`}; expected ${message}`;
}

/** Where in the input something is, before what is said of it. */
function at(keys: readonly PropertyKey[]): string {
  const place = keys.reduce<string>(
    (path, key) =>
      typeof key === "number" ? `${path}[${key}]` : path ? `${path}.${String(key)}` : String(key),
    "",
  );
  return place && `${place}: `;
}
