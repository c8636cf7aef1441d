import fc from "fast-check";

/** A query of google.firestore.v1, below a parent: a document's path, or "" for the root. */
export interface RandomQuery {
  parent: string;
  structuredQuery: object;
}

type NameOf = (path: string) => string;

const COLLECTION = "g";
const IDS = ["a", "b", "a-", "B", "ü", "\uffff", "7", "12", "__id7__", "__id12__", "__id-3__"];

/** The paths of the documents that random queries look for. */
export const PATHS = [
  ...Array.from({ length: 40 }, (_none, i) => `${COLLECTION}/d${i}`),
  ...IDS.map((id) => `${COLLECTION}/${id}`),
  ...IDS.map((id) => `${COLLECTION}/b/${COLLECTION}/${id}`),
  "h/x",
  `h/x/${COLLECTION}/a`,
  `h/x/${COLLECTION}/__id5__`,
];

/** Values of every type: those that compare in a way of their own, and neighbours of each in Firestore's order. */
function anyValue(nameOf: NameOf): fc.Arbitrary<object> {
  const integer = (integerValue: string) => ({ integerValue });
  const map = (fields: object) => ({ mapValue: { fields } });
  const array = (...values: object[]) => ({ arrayValue: { values } });
  const nan = { doubleValue: NaN };
  const none = { nullValue: "NULL_VALUE" };
  return fc.constantFrom<object>(
    none,
    nan,
    ...[-Infinity, -0, 1, 1.5, 9_007_199_254_740_992, Infinity].map((doubleValue) => ({ doubleValue })),
    ...["0", "1", "9007199254740993"].map(integer),
    ...[false, true].map((booleanValue) => ({ booleanValue })),
    ...[1_000, 2_000].map((nanos) => ({ timestampValue: { seconds: "5", nanos } })),
    ...["", "a", "b"].map((stringValue) => ({ stringValue })),
    { bytesValue: Buffer.from([1]) },
    ...["g/a", "g/__id7__", "g/b/g/a"].map((path) => ({ referenceValue: nameOf(path) })),
    { geoPointValue: { latitude: 1, longitude: 2 } },
    ...[array(), array(integer("1")), array(nan), array(none, { stringValue: "a" }), array(map({}))],
    ...[map({}), map({ x: integer("1") }), map({ x: nan }), map({ x: none })],
  );
}

/** Fields of which each is often there, of a document that random queries look for. */
export function anyFields(nameOf: NameOf): fc.Arbitrary<object> {
  const value = anyValue(nameOf);
  return fc.record(
    {
      a: value,
      b: value,
      c: fc.constantFrom({ integerValue: "0" }, { integerValue: "1" }, { doubleValue: 1.5 }),
      m: value.map((n) => ({ mapValue: { fields: { n } } })),
    },
    { requiredKeys: [] },
  );
}

/** Queries as clients send them and as they would not, of which Firestore refuses about a third. */
export function anyQuery(nameOf: NameOf): fc.Arbitrary<RandomQuery> {
  const value = anyValue(nameOf);
  const names = [...PATHS.slice(-26), "g/zz", "g/a\0", "z/a"].map((path) => ({
    referenceValue: nameOf(path),
  }));
  const fieldPath = fc.constantFrom("a", "a", "a", "b", "b", "c", "m.n", "__name__");
  const valueFor = (path: string) =>
    path === "__name__"
      ? fc.oneof({ weight: 30, arbitrary: fc.constantFrom(...names) }, value)
      : fc.oneof({ weight: 9, arbitrary: value }, fc.constantFrom(...names));

  const leaf = fieldPath.chain((path) => {
    const field = { fieldPath: path };
    const comparison = fc.record({
      op: fc.constantFrom(
        "LESS_THAN",
        "LESS_THAN_OR_EQUAL",
        "GREATER_THAN",
        "GREATER_THAN_OR_EQUAL",
        "EQUAL",
      ),
      value: valueFor(path),
    });
    const other = fc.record({ op: fc.constantFrom("NOT_EQUAL", "ARRAY_CONTAINS"), value: valueFor(path) });
    const list = fc.record({
      op: fc.constantFrom("IN", "NOT_IN", "ARRAY_CONTAINS_ANY"),
      value: fc
        .array(valueFor(path), { minLength: 1, maxLength: 3 })
        .map((values) => ({ arrayValue: { values } })),
    });
    return fc.oneof(
      ...[comparison, comparison, other, list].map((one) =>
        one.map((condition) => ({ fieldFilter: { field, ...condition } })),
      ),
      fc
        .constantFrom("IS_NAN", "IS_NULL", "IS_NOT_NAN", "IS_NOT_NULL")
        .map((op) => ({ unaryFilter: { op, field } })),
    );
  });
  const composite = (filter: fc.Arbitrary<object>, maxLength: number) =>
    fc
      .record({
        op: fc.constantFrom("AND", "AND", "OR"),
        filters: fc.array(filter, { minLength: 1, maxLength }),
      })
      .map((compositeFilter) => ({ compositeFilter }));
  const filter = fc.oneof<fc.MaybeWeightedArbitrary<object>[]>(
    { weight: 4, arbitrary: leaf },
    { weight: 4, arbitrary: composite(leaf, 3) },
    composite(fc.oneof(leaf, composite(leaf, 2)), 2),
  );

  const order = fc.record({
    field: fieldPath.map((path) => ({ fieldPath: path })),
    direction: fc.constantFrom("ASCENDING", "DESCENDING"),
  });
  const withoutCursors = fc.record({
    from: fc.boolean().map((allDescendants) => [{ collectionId: COLLECTION, allDescendants }]),
    where: fc.option(filter, { nil: undefined, freq: 4 }),
    orderBy: fc.uniqueArray(order, { maxLength: 2, selector: ({ field }) => field.fieldPath }),
    offset: fc.constantFrom(0, 0, 1),
    limit: fc.constantFrom(undefined, undefined, { value: 3 }),
  });
  const structuredQuery = withoutCursors.chain((query) => {
    // Sometimes one value more than orders, for an order that Firestore adds.
    const values = fc.tuple(
      ...query.orderBy.map(({ field }) => valueFor(field.fieldPath)),
      fc.constantFrom(...names),
    );
    const cursor = fc
      .tuple(values, fc.integer({ min: 1, max: Math.max(1, query.orderBy.length) }), fc.integer({ max: 19 }))
      .map(([all, count, dice]) => all.slice(0, count + Number(dice === 0)))
      .chain((some) => fc.record({ values: fc.constant(some), before: fc.boolean() }));
    return fc
      .record({
        startAt: fc.option(cursor, { nil: undefined, freq: 1 }),
        endAt: fc.option(cursor, { nil: undefined, freq: 1 }),
      })
      .map((cursors) => ({ ...query, ...cursors }));
  });
  return fc.record({ parent: fc.constantFrom("", "", "", "g/b", "h/x"), structuredQuery });
}
