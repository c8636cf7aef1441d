import type { Fields, Timestamp, Value } from "./protocol.ts";
import { comparePaths, compareStrings } from "./resource-names.ts";

/** Firestore's order of types: values of different types are ordered by it, and only numbers compare across two types. */
const TYPE_RANK: Record<Value["valueType"], number> = {
  nullValue: 0,
  booleanValue: 1,
  integerValue: 2,
  doubleValue: 2,
  timestampValue: 3,
  stringValue: 4,
  bytesValue: 5,
  referenceValue: 6,
  geoPointValue: 7,
  arrayValue: 8,
  mapValue: 9,
};

/** Integers of at most this many characters are exact as doubles. */
const SAFE_INTEGER_LENGTH = 15;

export function sameType(left: Value, right: Value): boolean {
  return TYPE_RANK[left.valueType] === TYPE_RANK[right.valueType];
}

/** Firestore's total order of values; what it holds equal (1 and 1.0, 0 and -0, NaN and NaN) gives 0. */
export function compareValues(left: Value, right: Value): number {
  const byType = TYPE_RANK[left.valueType] - TYPE_RANK[right.valueType];
  if (byType !== 0) return byType;
  switch (left.valueType) {
    case "nullValue":
      return 0;
    case "booleanValue":
      return Number(left.booleanValue) - Number((right as typeof left).booleanValue);
    case "integerValue":
    case "doubleValue":
      return compareNumbers(numberOf(left), numberOf(right));
    case "timestampValue":
      return compareTimestamps(left.timestampValue, (right as typeof left).timestampValue);
    case "stringValue":
      return compareStrings(left.stringValue, (right as typeof left).stringValue);
    case "bytesValue":
      return Buffer.compare(left.bytesValue, (right as typeof left).bytesValue);
    case "referenceValue":
      return comparePaths(left.referenceValue, (right as typeof left).referenceValue);
    case "geoPointValue": {
      const point = (right as typeof left).geoPointValue;
      return (
        compareNumbers(left.geoPointValue.latitude, point.latitude) ||
        compareNumbers(left.geoPointValue.longitude, point.longitude)
      );
    }
    case "arrayValue":
      return compareArrays(left.arrayValue.values, (right as typeof left).arrayValue.values);
    case "mapValue":
      return compareMaps(left.mapValue.fields, (right as typeof left).mapValue.fields);
  }
}

/** Whether Firestore's queries and array transforms hold two values equal. */
export function equalValues(left: Value, right: Value): boolean {
  return compareValues(left, right) === 0;
}

/** Whether nothing distinguishes two values: 1 is not 1.0 and 0 is not -0. A write of identical data changes nothing. */
export function identicalValues(left: Value, right: Value): boolean {
  if (left.valueType !== right.valueType) return false;
  switch (left.valueType) {
    case "doubleValue":
      return Object.is(left.doubleValue, (right as typeof left).doubleValue);
    case "geoPointValue": {
      const point = (right as typeof left).geoPointValue;
      return (
        Object.is(left.geoPointValue.latitude, point.latitude) &&
        Object.is(left.geoPointValue.longitude, point.longitude)
      );
    }
    case "arrayValue": {
      const { values } = (right as typeof left).arrayValue;
      return (
        left.arrayValue.values.length === values.length &&
        left.arrayValue.values.every((value, i) => identicalValues(value, values[i] as Value))
      );
    }
    case "mapValue":
      return identicalFields(left.mapValue.fields, (right as typeof left).mapValue.fields);
    case "nullValue":
    case "booleanValue":
    case "integerValue":
    case "timestampValue":
    case "stringValue":
    case "bytesValue":
    case "referenceValue":
      return compareValues(left, right) === 0;
  }
}

export function identicalFields(left: Fields, right: Fields): boolean {
  const names = Object.keys(left);
  return (
    names.length === Object.keys(right).length &&
    names.every(
      (name) => Object.hasOwn(right, name) && identicalValues(left[name] as Value, right[name] as Value),
    )
  );
}

export function isNumber(value: Value): boolean {
  return value.valueType === "integerValue" || value.valueType === "doubleValue";
}

export function isNaNValue(value: Value): boolean {
  return value.valueType === "doubleValue" && Number.isNaN(value.doubleValue);
}

/** A number as JavaScript compares it exactly: a bigint where an int64 would not fit a double. */
export function numberOf(value: Value): number | bigint {
  if (value.valueType === "doubleValue") return value.doubleValue;
  if (value.valueType !== "integerValue") throw new TypeError(`${value.valueType} is no number.`);
  return value.integerValue.length <= SAFE_INTEGER_LENGTH
    ? Number(value.integerValue)
    : BigInt(value.integerValue);
}

/** JavaScript compares numbers and bigints by their exact values; NaN comes before every other number. */
export function compareNumbers(left: number | bigint, right: number | bigint): number {
  if (left < right) return -1;
  if (left > right) return 1;
  return Number(Number.isNaN(right)) - Number(Number.isNaN(left));
}

export function compareTimestamps(left: Timestamp, right: Timestamp): number {
  return Number(left.seconds) - Number(right.seconds) || left.nanos - right.nanos;
}

function compareArrays(left: Value[], right: Value[]): number {
  const length = Math.min(left.length, right.length);
  for (let i = 0; i < length; i++) {
    const order = compareValues(left[i] as Value, right[i] as Value);
    if (order !== 0) return order;
  }
  return left.length - right.length;
}

function compareMaps(left: Fields, right: Fields): number {
  const leftNames = Object.keys(left).sort(compareStrings);
  const rightNames = Object.keys(right).sort(compareStrings);
  const length = Math.min(leftNames.length, rightNames.length);
  for (let i = 0; i < length; i++) {
    const leftName = leftNames[i] as string;
    const rightName = rightNames[i] as string;
    const order =
      compareStrings(leftName, rightName) ||
      compareValues(left[leftName] as Value, right[rightName] as Value);
    if (order !== 0) return order;
  }
  return leftNames.length - rightNames.length;
}
