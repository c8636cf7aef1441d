import { checkReferences } from "./accept-fields.ts";
import { DOCUMENT_NAME, type FieldPath, getField, parseFieldPath } from "./field-paths.ts";
import { invalidArgument } from "./grpc-error.ts";
import type { FieldOperator, Fields, Filter, UnaryOperator, Value } from "./protocol.ts";
import { documentPath } from "./resource-names.ts";
import { compareValues, equalValues, isNaNValue, sameType } from "./values.ts";

/** Whether a document, with this path and these fields, passes. */
export type Predicate = (path: string, fields: Fields) => boolean;

const MAX_DISJUNCTION = 30;
const MAX_NOT_IN = 10;

const COMPARISONS = new Set<FieldOperator | UnaryOperator>([
  "LESS_THAN",
  "LESS_THAN_OR_EQUAL",
  "GREATER_THAN",
  "GREATER_THAN_OR_EQUAL",
]);

/** The inequalities: Firestore orders by their fields, because it reads an index along them. */
const INEQUALITIES = new Set<FieldOperator | UnaryOperator>([
  ...COMPARISONS,
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
    const predicates = filters.map((one) => compileFilter(databaseName, one));
    if (op === "AND") return (path, fields) => predicates.every((passes) => passes(path, fields));
    if (op !== "OR") throw invalidArgument("A composite filter must have an operator.");
    if (filters.length === 0) throw invalidArgument("A disjunction must have at least one filter.");
    return (path, fields) => predicates.some((passes) => passes(path, fields));
  }
  const condition = conditionOf(filter);
  const test = isImpossible(condition) ? () => false : compileCondition(condition);
  const { fieldPath } = condition;
  if (fieldPath === DOCUMENT_NAME) {
    checkNameCondition(databaseName, condition);
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
  const inequalities = allConditions(filter).filter(isInequality);
  return [...new Set(inequalities.map(({ fieldPath }) => fieldPath))].sort();
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

/** Whether Firestore orders by the condition's field; a condition that nothing fulfils needs no order. */
export function isInequality(condition: Condition): boolean {
  return INEQUALITIES.has(condition.op) && !isImpossible(condition);
}

export function allConditions(filter: Filter | null | undefined): Condition[] {
  if (!filter?.filterType) return [];
  return filter.compositeFilter
    ? filter.compositeFilter.filters.flatMap(allConditions)
    : [conditionOf(filter)];
}

export function conditionOf({ fieldFilter, unaryFilter }: Filter): Condition {
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
    case "IN":
      return equalToOneOf(listOf(condition, MAX_DISJUNCTION));
    case "NOT_IN": {
      const values = listOf(condition, MAX_NOT_IN);
      if (values.some(isNull)) return () => false;
      const isExcluded = equalToOneOf(values);
      return (value) => !isNull(value) && !isExcluded(value);
    }
    case "ARRAY_CONTAINS_ANY": {
      const matches = equalToOneOf(listOf(condition, MAX_DISJUNCTION));
      return (value) => contains(value, matches);
    }
    case "ARRAY_CONTAINS": {
      const matches = equalToOneOf([operandOf(condition)]);
      return (value) => contains(value, matches);
    }
    case "EQUAL":
      return equalToOneOf([operandOf(condition)]);
    case "NOT_EQUAL": {
      const isExcluded = equalToOneOf([operandOf(condition)]);
      return (value) => !isNull(value) && !isExcluded(value);
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
  return (value) => sameType(value, operand) && isComparable(value) && holds(compareValues(value, operand));
}

function equalToOneOf(operands: readonly Value[]): (value: Value) => boolean {
  const comparable = operands.filter(isComparable);
  return (value) => comparable.some((operand) => equalValues(value, operand));
}

/** Whether the value that the condition compares with makes it hold for nothing. */
function isImpossible({ op, value }: Condition): boolean {
  if (!value) return false;
  if (COMPARISONS.has(op)) return !isComparable(value);
  if (op === "NOT_EQUAL") return isNull(value);
  const values = op === "NOT_IN" && value.valueType === "arrayValue" ? value.arrayValue.values : [];
  return values.length === 1 && values.every(isNull); // which Firestore makes a NOT_EQUAL
}

/** As in SQL, nothing equals null or NaN, and nothing is less or greater: unary filters find them (IS_NULL, IS_NAN). */
function isComparable(value: Value): boolean {
  return !isNull(value) && !isNaNValue(value);
}

function operandOf({ fieldPath, value }: Condition): Value {
  if (!value?.valueType) throw invalidArgument(`The filter on "${fieldPath}" has no value.`);
  checkReferences(value);
  return value;
}

function listOf({ op, value }: Omit<Condition, "fieldPath">, max: number): Value[] {
  const values = value?.valueType === "arrayValue" ? value.arrayValue.values : [];
  if (values.length === 0) throw invalidArgument(`'${op}' requires a non-empty ArrayValue.`);
  if (values.length > max) throw invalidArgument(`'${op}' supports up to ${max} comparison values.`);
  values.forEach(checkReferences);
  return values;
}

/** A document's name is compared with names of documents, and has no other use. */
function checkNameCondition(databaseName: string, { op, value }: Condition): void {
  if (op === "ARRAY_CONTAINS" || op === "ARRAY_CONTAINS_ANY") {
    throw invalidArgument(`The filter on "${DOCUMENT_NAME}" cannot be '${op}': a name is no array.`);
  }
  const names = (op === "IN" || op === "NOT_IN") && value ? listOf({ op, value }, Infinity) : [value];
  for (const name of names) {
    if (name?.valueType !== "referenceValue") throw invalidArgument("__key__ filter value must be a Key");
    documentPath(databaseName, name.referenceValue);
  }
}

function isNull(value: Value): boolean {
  return value.valueType === "nullValue";
}

function contains(value: Value, matches: (element: Value) => boolean): boolean {
  return value.valueType === "arrayValue" && value.arrayValue.values.some(matches);
}
