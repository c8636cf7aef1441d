import { type FieldPath, getField, parseFieldPath } from "./field-paths.ts";
import { invalidArgument } from "./grpc-error.ts";
import type { Aggregation, Fields, Value } from "./protocol.ts";
import type { QueryResult } from "./queries.ts";
import { isNumber, numberOf } from "./values.ts";

const MAX_AGGREGATIONS = 5;
const MAX_INT64 = 2n ** 63n - 1n;
const MIN_INT64 = -(2n ** 63n);

/**
 * Computes the aggregations over a query's results. As in production, once fields are summed or averaged, only
 * documents that have all of these fields are looked at, for counts too.
 */
export function aggregate(results: readonly QueryResult[], aggregations: readonly Aggregation[]): Fields {
  if (aggregations.length === 0 || aggregations.length > MAX_AGGREGATIONS) {
    throw invalidArgument(`A query must have 1 to ${MAX_AGGREGATIONS} aggregations.`);
  }
  const paths = aggregations.map(fieldOf).filter((path) => path !== undefined);
  const counted = results.filter(({ document }) => paths.every((path) => getField(document.fields, path)));
  const aggregates: Fields = {};
  let unnamed = 0;
  for (const aggregation of aggregations) {
    const alias = aggregation.alias || `field_${++unnamed}`;
    if (Object.hasOwn(aggregates, alias)) throw invalidArgument(`Duplicate aggregation alias "${alias}".`);
    aggregates[alias] = compute(aggregation, counted);
  }
  return aggregates;
}

function compute(aggregation: Aggregation, results: readonly QueryResult[]): Value {
  const path = fieldOf(aggregation);
  if (!path) {
    const upTo = aggregation.count?.upTo;
    if (upTo && Number(upTo.value) <= 0) throw invalidArgument("count's up_to must be greater than 0.");
    return integer(BigInt(Math.min(results.length, Number(upTo?.value ?? Number.POSITIVE_INFINITY))));
  }
  const numbers = results.flatMap(({ document }) => {
    const value = getField(document.fields, path);
    return value && isNumber(value) ? [value] : [];
  });
  if (aggregation.operator === "sum") return sum(numbers);
  if (numbers.length === 0) return { valueType: "nullValue", nullValue: "NULL_VALUE" };
  return double(asNumber(sum(numbers)) / numbers.length);
}

/** An integer if all are and it fits; else a double, of which the integers are added up exactly first. */
function sum(values: readonly Value[]): Value {
  let integers = 0n;
  let doubles = 0;
  for (const value of values) {
    if (value.valueType === "integerValue") integers += BigInt(value.integerValue);
    else doubles += asNumber(value);
  }
  const onlyIntegers = values.every(({ valueType }) => valueType === "integerValue");
  if (onlyIntegers && integers <= MAX_INT64 && integers >= MIN_INT64) return integer(integers);
  return double(Number(integers) + doubles);
}

function fieldOf({ operator, count, sum, avg }: Aggregation): FieldPath | undefined {
  const field = (sum ?? avg)?.field;
  if (field) return parseFieldPath(field.fieldPath);
  if (operator !== "count" || !count) throw invalidArgument("An aggregation must count, sum or average.");
  return undefined;
}

function asNumber(value: Value): number {
  return Number(numberOf(value));
}

function integer(value: bigint): Value {
  return { valueType: "integerValue", integerValue: String(value) };
}

function double(value: number): Value {
  return { valueType: "doubleValue", doubleValue: value };
}
