import { DOCUMENT_NAME, type FieldPath, getField, parseFieldPath } from "./field-paths.ts";
import { invalidArgument } from "./grpc-error.ts";
import type { FieldOperator, Fields, Filter, UnaryOperator, Value } from "./protocol.ts";
import { compareValues, equalValues, isNaNValue, sameType } from "./values.ts";

/** Whether a document, with this path and these fields, passes. */
export type Predicate = (path: string, fields: Fields) => boolean;

const MAX_DISJUNCTION = 30;
const MAX_NOT_IN = 10;

/** The operators that make Firestore order by their field, because an index is read along it. */
const ORDERED_BY = new Set<FieldOperator | UnaryOperator>([
  "LESS_THAN",
  "LESS_THAN_OR_EQUAL",
  "GREATER_THAN",
  "GREATER_THAN_OR_EQUAL",
  "NOT_EQUAL",
  "NOT_IN",
  "IS_NOT_NAN",
  "IS_NOT_NULL",
]);

/** A condition on one field, as both field filters and unary filters are understood. */
export interface Condition {
  fieldPath: string;
  op: FieldOperator | UnaryOperator;
  value: Value | undefined;
}

export function compileFilter(databaseName: string, filter: Filter | null | undefined): Predicate {
  if (!filter?.filterType) return () => true;
  if (filter.compositeFilter) {
    const { op, filters } = filter.compositeFilter;
    if (filters.length === 0) throw invalidArgument("A composite filter must have at least one filter.");
    const predicates = filters.map((one) => compileFilter(databaseName, one));
    if (op === "AND") return (path, fields) => predicates.every((passes) => passes(path, fields));
    if (op === "OR") return (path, fields) => predicates.some((passes) => passes(path, fields));
    throw invalidArgument("A composite filter must have an operator.");
  }
  const condition = conditionOf(filter);
  const test = compileCondition(condition);
  const { fieldPath } = condition;
  if (fieldPath === DOCUMENT_NAME) {
    return (path) =>
      test({ valueType: "referenceValue", referenceValue: `${databaseName}/documents/${path}` });
  }
  const field: FieldPath = parseFieldPath(fieldPath);
  return (_path, fields) => {
    const value = getField(fields, field);
    return value !== undefined && test(value);
  };
}

/** The fields that the query is ordered by for the sake of its filter. */
export function fieldsOrderedByFilter(filter: Filter | null | undefined): string[] {
  const conditions = allConditions(filter).filter(({ op }) => ORDERED_BY.has(op));
  return [...new Set(conditions.map(({ fieldPath }) => fieldPath))].sort();
}

/** The conditions that every result fulfils: those that are not in a disjunction. */
export function requiredConditions(filter: Filter | null | undefined): Condition[] {
  if (!filter?.filterType) return [];
  const composite = filter.compositeFilter;
  if (!composite) return [conditionOf(filter)];
  return composite.op === "AND" || composite.filters.length === 1
    ? composite.filters.flatMap(requiredConditions)
    : [];
}

function allConditions(filter: Filter | null | undefined): Condition[] {
  if (!filter?.filterType) return [];
  return filter.compositeFilter
    ? filter.compositeFilter.filters.flatMap(allConditions)
    : [conditionOf(filter)];
}

function conditionOf({ fieldFilter, unaryFilter }: Filter): Condition {
  const fieldPath = (fieldFilter ?? unaryFilter)?.field?.fieldPath;
  const op = (fieldFilter ?? unaryFilter)?.op;
  if (!fieldPath) throw invalidArgument("A filter must name a field.");
  if (!op || op === "OPERATOR_UNSPECIFIED")
    throw invalidArgument(`The filter on "${fieldPath}" has no operator.`);
  return { fieldPath, op, value: fieldFilter?.value ?? undefined };
}

function compileCondition(condition: Condition): (value: Value) => boolean {
  switch (condition.op) {
    case "IS_NULL":
      return (value) => value.valueType === "nullValue";
    case "IS_NOT_NULL":
      return (value) => value.valueType !== "nullValue";
    case "IS_NAN":
      return isNaNValue;
    case "IS_NOT_NAN":
      return (value) => value.valueType !== "nullValue" && !isNaNValue(value);
    case "IN": {
      const values = listOf(condition, MAX_DISJUNCTION);
      return (value) => values.some((one) => equalValues(value, one));
    }
    case "NOT_IN": {
      const values = listOf(condition, MAX_NOT_IN);
      if (values.some(isNull)) return () => false;
      return (value) => !isNull(value) && !values.some((one) => equalValues(value, one));
    }
    case "ARRAY_CONTAINS_ANY": {
      const values = listOf(condition, MAX_DISJUNCTION);
      return (value) => contains(value, (element) => values.some((one) => equalValues(element, one)));
    }
    case "ARRAY_CONTAINS": {
      const operand = operandOf(condition);
      return (value) => contains(value, (element) => equalValues(element, operand));
    }
    case "EQUAL": {
      const operand = operandOf(condition);
      return (value) => equalValues(value, operand);
    }
    case "NOT_EQUAL": {
      const operand = operandOf(condition);
      return (value) => !isNull(value) && !equalValues(value, operand);
    }
    case "LESS_THAN":
      return comparing(condition, (order) => order < 0);
    case "LESS_THAN_OR_EQUAL":
      return comparing(condition, (order) => order <= 0);
    case "GREATER_THAN":
      return comparing(condition, (order) => order > 0);
    case "GREATER_THAN_OR_EQUAL":
      return comparing(condition, (order) => order >= 0);
  }
}

/** Inequalities hold between values of one type only. */
function comparing(condition: Condition, holds: (order: number) => boolean): (value: Value) => boolean {
  const operand = operandOf(condition);
  return (value) => sameType(value, operand) && holds(compareValues(value, operand));
}

function operandOf({ fieldPath, value }: Condition): Value {
  if (!value?.valueType) throw invalidArgument(`The filter on "${fieldPath}" has no value.`);
  checkName(fieldPath, value);
  return value;
}

function listOf({ fieldPath, op, value }: Condition, max: number): Value[] {
  const values = value?.valueType === "arrayValue" ? value.arrayValue.values : [];
  if (values.length === 0) throw invalidArgument(`'${op}' requires a non-empty ArrayValue.`);
  if (values.length > max) throw invalidArgument(`'${op}' supports up to ${max} comparison values.`);
  for (const one of values) checkName(fieldPath, one);
  return values;
}

function checkName(fieldPath: string, value: Value): void {
  if (fieldPath === DOCUMENT_NAME && value.valueType !== "referenceValue") {
    throw invalidArgument("__key__ filter value must be a Key");
  }
}

function isNull(value: Value): boolean {
  return value.valueType === "nullValue";
}

function contains(value: Value, matches: (element: Value) => boolean): boolean {
  return value.valueType === "arrayValue" && value.arrayValue.values.some(matches);
}
