export interface Condition {
  field: string;
  op: FirebaseFirestore.WhereFilterOp;
  value: unknown;
}

export interface RandomQuery {
  conditions: Condition[];
  isDisjunction: boolean;
  order: { field: string; descending: boolean } | null;
  limit: number | null;
  offset: number;
}

/** What Firestore's documentation says a query finds, over JavaScript's own values, in the plainest way. */
export function oracle(documents: Record<string, Record<string, unknown>>, query: RandomQuery): string[] {
  const { conditions, isDisjunction, order, limit, offset } = query;
  const inequalities = conditions
    .filter(({ op }) => ["<", "<=", ">", ">=", "!="].includes(op))
    .map(({ field }) => field);
  const orders = [...new Set([...(order ? [order.field] : []), ...inequalities.sort()])];
  const sign = order?.descending ? -1 : 1;
  return Object.entries(documents)
    .filter(([, data]) => orders.every((field) => field in data))
    .filter(([, data]) => {
      const passes = conditions.map(
        (condition) => condition.field in data && holds(data[condition.field], condition),
      );
      return conditions.length === 0 || (isDisjunction ? passes.some(Boolean) : passes.every(Boolean));
    })
    .sort(([leftId, left], [rightId, right]) => {
      for (const field of orders) {
        const result = compare(left[field], right[field]);
        if (result !== 0) return sign * result;
      }
      return sign * (leftId < rightId ? -1 : 1);
    })
    .map(([id]) => id)
    .slice(offset, limit ? offset + limit : undefined);
}

function holds(actual: unknown, { op, value }: Condition): boolean {
  const isComparable = rank(actual) === rank(value) && !Number.isNaN(actual);
  switch (op) {
    case "<":
      return isComparable && compare(actual, value) < 0;
    case "<=":
      return isComparable && compare(actual, value) <= 0;
    case ">":
      return isComparable && compare(actual, value) > 0;
    case ">=":
      return isComparable && compare(actual, value) >= 0;
    case "==":
      return compare(actual, value) === 0;
    case "!=":
      return actual !== null && compare(actual, value) !== 0;
    case "in":
      return (value as unknown[]).some((one) => compare(actual, one) === 0);
    case "array-contains":
      return Array.isArray(actual) && actual.some((element) => compare(element, value) === 0);
    case "array-contains-any":
      return (
        Array.isArray(actual) &&
        actual.some((element) => (value as unknown[]).some((one) => compare(element, one) === 0))
      );
    case "not-in":
      throw new Error("The oracle does not know not-in.");
  }
}

function rank(value: unknown): number {
  if (value === null) return 0;
  if (Array.isArray(value)) return 8;
  return { boolean: 1, number: 2, string: 4 }[typeof value as string] ?? 9;
}

function compare(left: unknown, right: unknown): number {
  if (rank(left) !== rank(right)) return rank(left) - rank(right);
  if (Array.isArray(left) && Array.isArray(right)) {
    for (let i = 0; i < Math.min(left.length, right.length); i++) {
      const result = compare(left[i], right[i]);
      if (result !== 0) return result;
    }
    return left.length - right.length;
  }
  if (typeof left === "number" && typeof right === "number") {
    if (Number.isNaN(left) || Number.isNaN(right))
      return Number(Number.isNaN(right)) - Number(Number.isNaN(left));
    return left - right;
  }
  if (typeof left === "object") return 0; // null, or the only map there is
  return (left as string) < (right as string) ? -1 : left === right ? 0 : 1;
}
