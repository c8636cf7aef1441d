import { invalidArgument, unimplemented } from "./grpc-error.ts";
import type { Fields, Value } from "./protocol.ts";
import { checkDocumentName, isReserved } from "./resource-names.ts";

const MAX_DOCUMENT_BYTES = 1_048_576;
const MAX_DEPTH = 20;
const MAX_FIELD_NAME_BYTES = 1_500;
const MIN_SECONDS = -62_135_596_800; // 0001-01-01T00:00:00Z
const MAX_SECONDS = 253_402_300_799; // 9999-12-31T23:59:59Z

/**
 * Checks the fields of a request as Firestore does and makes them what it would store: timestamps lose what is finer
 * than a microsecond. Works in place, on the request's own objects.
 *
 * @returns the size that counts towards the limit of a document
 */
export function acceptFields(fields: Fields, depth = 0): number {
  let size = 0;
  for (const name in fields) {
    checkFieldName(name);
    size += Buffer.byteLength(name) + 1 + acceptValue(fields[name] as Value, depth + 1);
  }
  return size;
}

/** Like acceptFields, for one value. */
export function acceptValue(value: Value, depth = 0): number {
  if (depth > MAX_DEPTH)
    throw invalidArgument(`Values are nested deeper than the maximum of ${MAX_DEPTH} levels.`);
  switch (value.valueType) {
    case "nullValue":
    case "booleanValue":
      return 1;
    case "integerValue":
    case "doubleValue":
      return 8;
    case "timestampValue": {
      const { seconds, nanos } = value.timestampValue;
      if (
        Number(seconds) < MIN_SECONDS ||
        Number(seconds) > MAX_SECONDS ||
        nanos < 0 ||
        nanos > 999_999_999
      ) {
        throw invalidArgument(`Timestamp is out of range: ${seconds} s and ${nanos} ns.`);
      }
      value.timestampValue.nanos = nanos - (nanos % 1_000);
      return 8;
    }
    case "stringValue":
      return Buffer.byteLength(value.stringValue) + 1;
    case "bytesValue":
      return value.bytesValue.length;
    case "referenceValue":
      checkDocumentName(value.referenceValue);
      return Buffer.byteLength(value.referenceValue) + 1;
    case "geoPointValue":
      checkCoordinate("Latitude", value.geoPointValue.latitude, 90);
      checkCoordinate("Longitude", value.geoPointValue.longitude, 180);
      return 16;
    case "arrayValue":
      return value.arrayValue.values.reduce((size, element) => {
        if (element.valueType === "arrayValue") {
          throw invalidArgument("Cannot convert an array value in an array value.");
        }
        return size + acceptValue(element, depth + 1);
      }, 0);
    case "mapValue":
      if (isVector(value.mapValue.fields)) throw unimplemented("A vector value");
      return acceptFields(value.mapValue.fields, depth);
    default:
      throw invalidArgument("A value has no type, or a type that documents cannot hold.");
  }
}

/** Refuses references, in a value that documents are compared with, that name no document. */
export function checkReferences(value: Value): void {
  if (value.valueType === "referenceValue") checkDocumentName(value.referenceValue);
  if (value.valueType === "arrayValue") value.arrayValue.values.forEach(checkReferences);
  if (value.valueType === "mapValue") Object.values(value.mapValue.fields).forEach(checkReferences);
}

export function checkDocumentSize(name: string, path: string, fieldsSize: number): void {
  const size = Buffer.byteLength(path) + 1 + 16 + 32 + fieldsSize;
  if (size > MAX_DOCUMENT_BYTES) {
    throw invalidArgument(
      `Document '${name}' cannot be written because its size (${size.toLocaleString("en-US")} bytes) exceeds ` +
        `the maximum allowed size of ${MAX_DOCUMENT_BYTES.toLocaleString("en-US")} bytes.`,
    );
  }
}

export function checkFieldName(name: string): void {
  if (name === "") throw invalidArgument("Document fields must not be empty.");
  if (isReserved(name)) {
    throw invalidArgument(`Document fields cannot begin and end with "__": ${name}`);
  }
  if (name.length * 3 > MAX_FIELD_NAME_BYTES && Buffer.byteLength(name) > MAX_FIELD_NAME_BYTES) {
    throw invalidArgument(
      `Field name "${name.slice(0, 20)}..." is longer than ${MAX_FIELD_NAME_BYTES} bytes.`,
    );
  }
}

function isVector(fields: Fields): boolean {
  const type = Object.hasOwn(fields, "__type__") ? fields["__type__"] : undefined;
  return type?.valueType === "stringValue" && type.stringValue === "__vector__";
}

function checkCoordinate(name: string, degrees: number, limit: number): void {
  if (!(Math.abs(degrees) <= limit)) {
    throw invalidArgument(`${name} must be in the range of [-${limit}, ${limit}] but was ${degrees}.`);
  }
}
