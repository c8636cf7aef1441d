import { acceptValue } from "./accept-fields.ts";
import { type FieldPath, getField, parseFieldPath, withField } from "./field-paths.ts";
import { invalidArgument } from "./grpc-error.ts";
import type { FieldTransform, Fields, Value } from "./protocol.ts";
import { type Micros, timestampOf } from "./timestamps.ts";
import { compareNumbers, equalValues, isNaNValue, isNumber, numberOf } from "./values.ts";

const MAX_INT64 = 2n ** 63n - 1n;
const MIN_INT64 = -(2n ** 63n);
const NULL: Value = { valueType: "nullValue", nullValue: "NULL_VALUE" };

/** Applies transforms in their order; `results` are what the write answers for each. */
export function applyTransforms(
  fields: Fields,
  transforms: readonly FieldTransform[],
  commitTime: Micros,
): { fields: Fields; results: Value[] } {
  const results: Value[] = [];
  let transformed = fields;
  for (const transform of transforms) {
    const path: FieldPath = parseFieldPath(transform.fieldPath);
    const { value, result } = applyTransform(getField(transformed, path), transform, commitTime);
    transformed = withField(transformed, path, value);
    results.push(result);
  }
  return { fields: transformed, results };
}

function applyTransform(
  current: Value | undefined,
  transform: FieldTransform,
  commitTime: Micros,
): { value: Value; result: Value } {
  switch (transform.transformType) {
    case "setToServerValue": {
      if (transform.setToServerValue !== "REQUEST_TIME")
        throw invalidArgument("The server value must be specified.");
      const value: Value = { valueType: "timestampValue", timestampValue: timestampOf(commitTime) };
      return { value, result: value };
    }
    case "increment":
      return answering(increment(current, operand(transform)));
    case "maximum":
      return answering(extreme(current, operand(transform), 1));
    case "minimum":
      return answering(extreme(current, operand(transform), -1));
    case "appendMissingElements": {
      const values = [...elementsOf(current)];
      for (const element of elements(transform.appendMissingElements)) {
        if (!values.some((value) => equalValues(value, element))) values.push(element);
      }
      return { value: arrayOf(values), result: NULL };
    }
    case "removeAllFromArray": {
      const removed = elements(transform.removeAllFromArray);
      const values = elementsOf(current).filter(
        (value) => !removed.some((element) => equalValues(value, element)),
      );
      return { value: arrayOf(values), result: NULL };
    }
    default:
      throw invalidArgument(`The transform of "${transform.fieldPath}" has no type.`);
  }
}

function answering(value: Value): { value: Value; result: Value } {
  return { value, result: value };
}

function operand({ transformType, fieldPath, increment, maximum, minimum }: FieldTransform): Value {
  const value = increment ?? maximum ?? minimum;
  if (!value || !isNumber(value))
    throw invalidArgument(`${transformType} of "${fieldPath}" requires a number.`);
  return value;
}

function increment(current: Value | undefined, by: Value): Value {
  if (!current || !isNumber(current)) return by;
  if (current.valueType === "integerValue" && by.valueType === "integerValue") {
    const sum = BigInt(current.integerValue) + BigInt(by.integerValue);
    const clamped = sum > MAX_INT64 ? MAX_INT64 : sum < MIN_INT64 ? MIN_INT64 : sum;
    return { valueType: "integerValue", integerValue: String(clamped) };
  }
  return { valueType: "doubleValue", doubleValue: Number(numberOf(current)) + Number(numberOf(by)) };
}

/** The greater (sign 1) or the lesser (sign -1); of equal numbers, the one that is there; NaN if either is. */
function extreme(current: Value | undefined, candidate: Value, sign: 1 | -1): Value {
  if (!current || !isNumber(current)) return candidate;
  if (isNaNValue(current)) return current;
  if (isNaNValue(candidate)) return candidate;
  return sign * compareNumbers(numberOf(candidate), numberOf(current)) > 0 ? candidate : current;
}

function elements(array: { values: Value[] } | undefined): Value[] {
  const values = array?.values ?? [];
  for (const value of values) {
    if (value.valueType === "arrayValue")
      throw invalidArgument("Cannot convert an array value in an array value.");
    acceptValue(value, 1);
  }
  return values;
}

function elementsOf(value: Value | undefined): Value[] {
  return value?.valueType === "arrayValue" ? value.arrayValue.values : [];
}

function arrayOf(values: Value[]): Value {
  return { valueType: "arrayValue", arrayValue: { values } };
}
