import { invalidArgument } from "./grpc-error.ts";
import type { Fields, Value } from "./protocol.ts";

/** The names of nested fields, outermost first. */
export type FieldPath = readonly string[];

/** How queries refer to a document's own name. */
export const DOCUMENT_NAME = "__name__";

const SEGMENT = /([A-Za-z_][A-Za-z_0-9]*|`(?:[^`\\]|\\.)+`)(\.|$)/sy;

/** Parses a path such as ``a.`b c`.d``, as Firestore quotes it. */
export function parseFieldPath(text: string): FieldPath {
  const path: string[] = [];
  SEGMENT.lastIndex = 0;
  for (let separator = "."; separator === ".";) {
    const match = SEGMENT.exec(text);
    if (!match) throw invalidArgument(`Invalid property path "${text}".`);
    const segment = match[1] ?? "";
    separator = match[2] ?? "";
    path.push(segment.startsWith("`") ? segment.slice(1, -1).replace(/\\(.)/gs, "$1") : segment);
  }
  return path;
}

/** Writes a path in Firestore's quoting. */
export function formatFieldPath(path: FieldPath): string {
  return path
    .map((name) =>
      /^[A-Za-z_][A-Za-z_0-9]*$/.test(name) ? name : `\`${name.replace(/[\\`]/g, (char) => `\\${char}`)}\``,
    )
    .join(".");
}

/** The value at a path, if there is one. */
export function getField(fields: Fields, path: FieldPath): Value | undefined {
  let at = fields;
  for (let i = 0; ; i++) {
    const name = path[i];
    if (name === undefined || !Object.hasOwn(at, name)) return undefined;
    const value = at[name];
    if (i === path.length - 1) return value;
    if (value?.valueType !== "mapValue") return undefined;
    at = value.mapValue.fields;
  }
}

/** A copy of the fields with the value put at the path, or removed from it; maps are made on the way where needed. */
export function withField(fields: Fields, path: FieldPath, value: Value | undefined): Fields {
  const [name, ...rest] = path;
  if (name === undefined) return fields;
  const inner = Object.hasOwn(fields, name) ? fields[name] : undefined;
  if (rest.length === 0) {
    if (value) return { ...fields, [name]: value };
    return Object.fromEntries(Object.entries(fields).filter(([other]) => other !== name));
  }
  const innerFields = inner?.valueType === "mapValue" ? inner.mapValue.fields : undefined;
  if (!value && !innerFields) return fields;
  const mapValue = { fields: withField(innerFields ?? {}, rest, value) };
  return { ...fields, [name]: { valueType: "mapValue", mapValue } };
}

/** The fields that a mask lets through. */
export function project(fields: Fields, mask: readonly FieldPath[]): Fields {
  let projected: Fields = {};
  for (const path of mask) {
    const value = getField(fields, path);
    if (value) projected = withField(projected, path, value);
  }
  return projected;
}
