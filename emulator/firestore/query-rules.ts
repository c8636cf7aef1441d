import { DOCUMENT_NAME } from "./field-paths.ts";
import { type Condition, allConditions, conditionOf, isInequality } from "./filters.ts";
import { failedPrecondition, invalidArgument } from "./grpc-error.ts";
import type { FieldReference, Filter, StructuredQuery, Value } from "./protocol.ts";
import { equalValues } from "./values.ts";

const MAX_DISJUNCTIONS = 30;

const EXCLUDING: readonly Condition["op"][] = ["NOT_EQUAL", "NOT_IN", "IS_NOT_NAN", "IS_NOT_NULL"];
const EQUAL_TO_ONE: readonly Condition["op"][] = ["EQUAL", "IN"];

/** Refuses what Firestore does not combine in one query, below a parent: a document, or "" for the root. */
export function checkCombinations(query: StructuredQuery, parent: string): void {
  const conditions = allConditions(query.where);
  checkExclusions(query.where, conditions);
  checkDisjunctions(query.where);
  checkNames(conditions);
  checkCollectionGroup(query, conditions, parent);
  checkOrders(query, conditions);
}

function checkExclusions(filter: Filter | null | undefined, conditions: readonly Condition[]): void {
  if (conditions.filter(({ op }) => EXCLUDING.includes(op)).length > 1) {
    throw invalidArgument(
      "Only a single 'NOT_EQUAL', 'NOT_IN', 'IS_NOT_NAN', or 'IS_NOT_NULL' filter allowed per query.",
    );
  }
  const has = (operator: Condition["op"]): boolean => conditions.some(({ op }) => op === operator);
  if (has("NOT_IN") && (has("IN") || has("ARRAY_CONTAINS_ANY") || isDisjunctive(filter))) {
    throw invalidArgument(
      "'NOT_IN' cannot be used in the same query with 'IN', 'ARRAY_CONTAINS_ANY' or 'OR'.",
    );
  }
}

function isDisjunctive(filter: Filter | null | undefined): boolean {
  const composite = filter?.compositeFilter;
  return composite !== undefined && (composite.op === "OR" || composite.filters.some(isDisjunctive));
}

/** Firestore runs a query for each disjunction of the normal form, and in each at most one looks into an array. */
function checkDisjunctions(filter: Filter | null | undefined): void {
  const count = countDisjunctions(filter);
  if (count > MAX_DISJUNCTIONS) {
    throw invalidArgument(
      `Too many disjunctions after normalization. Result had ${count} disjunctions which is more than the maximum of ${MAX_DISJUNCTIONS}`,
    );
  }
  for (const disjunction of disjunctionsOf(filter)) {
    const [first, ...others] = disjunction.filter(({ op }) => op === "ARRAY_CONTAINS");
    if (!others.every((other) => isSameCondition(first!, other))) {
      throw invalidArgument("A maximum of 1 'ARRAY_CONTAINS' filter is allowed per disjunction.");
    }
  }
}

function countDisjunctions(filter: Filter | null | undefined): number {
  const composite = filter?.compositeFilter;
  if (!composite) return disjunctionsOf(filter).length;
  const counts = composite.filters.map(countDisjunctions);
  return composite.op === "OR"
    ? counts.reduce((sum, count) => sum + count, 0)
    : counts.reduce((product, count) => product * count, 1);
}

function disjunctionsOf(filter: Filter | null | undefined): Condition[][] {
  if (!filter?.filterType) return [[]];
  const composite = filter.compositeFilter;
  if (!composite) return alternativesOf(conditionOf(filter)).map((condition) => [condition]);
  const parts = composite.filters.map(disjunctionsOf);
  if (composite.op === "OR") return parts.flat();
  return parts.reduce<Condition[][]>(
    (left, right) => left.flatMap((some) => right.map((others) => [...some, ...others])),
    [[]],
  );
}

/** The conditions of which one must hold for this one to hold. */
function alternativesOf(condition: Condition): Condition[] {
  const { fieldPath, op, value } = condition;
  if (op !== "IN" && op !== "ARRAY_CONTAINS_ANY") return [condition];
  const values = value?.valueType === "arrayValue" ? value.arrayValue.values : [];
  const isFirst = (one: Value, i: number): boolean =>
    values.findIndex((other) => equalValues(one, other)) === i;
  return values
    .filter(isFirst)
    .map((one) => ({ fieldPath, op: op === "IN" ? "EQUAL" : "ARRAY_CONTAINS", value: one }));
}

function isSameCondition(left: Condition, right: Condition): boolean {
  return left.fieldPath === right.fieldPath && equalValues(left.value!, right.value!);
}

function checkNames(conditions: readonly Condition[]): void {
  const inequalities = conditions.filter(isInequality);
  const hasNamed = conditions.some(
    ({ fieldPath, op }) => fieldPath === DOCUMENT_NAME && EQUAL_TO_ONE.includes(op),
  );
  if (
    hasNamed &&
    inequalities.length > 0 &&
    !inequalities.some(({ fieldPath }) => fieldPath === DOCUMENT_NAME)
  ) {
    throw invalidArgument(
      "Equality on key is not allowed if there are other inequality fields and key does not appear in inequalities.",
    );
  }
}

function checkOrders({ orderBy }: StructuredQuery, conditions: readonly Condition[]): void {
  const fields = orderBy.map(({ field }) => field.fieldPath);
  const twice = fields.find((field, i) => fields.indexOf(field) < i);
  if (twice !== undefined) throw invalidArgument(`order by clause cannot contain duplicate fields ${twice}`);
  const isDescending = fields[0] === DOCUMENT_NAME && orderBy[0]?.direction === "DESCENDING";
  if (isDescending && conditions.every(isOnName)) {
    throw failedPrecondition("Firestore does not support descending key scans");
  }
}

/** Below a document, and in collections of any id, Firestore has no index but that of names. */
function checkCollectionGroup(
  { from, orderBy }: StructuredQuery,
  conditions: readonly Condition[],
  parent: string,
): void {
  const [selector] = from;
  if (!selector?.allDescendants) return;
  const goesByName = conditions.every(isOnName) && orderBy.every(({ field }) => isOnName(field));
  if (goesByName) return;
  if (parent !== "") throw invalidArgument("collection group queries are only allowed at the root parent");
  if (selector.collectionId === "")
    throw invalidArgument("kind is required for filters and orders by fields");
}

function isOnName({ fieldPath }: FieldReference): boolean {
  return fieldPath === DOCUMENT_NAME;
}
