import {
  AggregateField,
  type CollectionReference,
  FieldPath,
  Filter,
  GeoPoint,
  type Query,
  Timestamp,
} from "@google-cloud/firestore";
import fc from "fast-check";
import { type FirestoreTarget, startTarget, uniqueId } from "./firestore-target.ts";
import { type Condition, type RandomQuery, oracle } from "./query-oracle.ts";

let target: FirestoreTarget;
beforeAll(async () => {
  target = await startTarget();
});
afterAll(() => target.stop());

async function collectionOf(documents: Record<string, object>): Promise<CollectionReference> {
  const collection = target.db.collection(uniqueId());
  const batch = target.db.batch();
  for (const [id, data] of Object.entries(documents)) batch.set(collection.doc(id), data);
  await batch.commit();
  return collection;
}

async function idsOf(query: Query): Promise<string[]> {
  return (await query.get()).docs.map(({ id }) => id);
}

const NAME = FieldPath.documentId();

describe("filters", () => {
  test("compare within a type; != and not-in leave out null and what is missing", async () => {
    const collection = await collectionOf({
      one: { v: 1 },
      two: { v: 2 },
      half: { v: 0.5 },
      text: { v: "2" },
      null: { v: null },
      nan: { v: NaN },
      none: {},
    });
    expect(await idsOf(collection.where("v", ">", 0.5))).toEqual(["one", "two"]);
    expect(await idsOf(collection.where("v", ">=", 0.5))).toEqual(["half", "one", "two"]);
    expect(await idsOf(collection.where("v", "<=", "2"))).toEqual(["text"]);
    expect(await idsOf(collection.where("v", "==", 2))).toEqual(["two"]);
    expect(await idsOf(collection.where("v", "==", null))).toEqual(["null"]);
    expect(await idsOf(collection.where("v", "==", NaN))).toEqual(["nan"]);
    expect(await idsOf(collection.where("v", "!=", null))).toEqual(["nan", "half", "one", "two", "text"]);
    expect(await idsOf(collection.where("v", "!=", NaN))).toEqual(["half", "one", "two", "text"]);
    expect(await idsOf(collection.where("v", "!=", 1))).toEqual(["nan", "half", "two", "text"]);
    expect(await idsOf(collection.where("v", "not-in", [1, "2"]))).toEqual(["nan", "half", "two"]);
    expect(await idsOf(collection.where("v", "not-in", [1, null]))).toEqual([]);
    expect(await idsOf(collection.where("v", "in", [2, "2", 7]))).toEqual(["text", "two"]);
  });

  test("compare nothing with NaN or null, which == and != alone find", async () => {
    const collection = await collectionOf({
      nan: { v: NaN, list: [NaN, null, 1] },
      null: { v: null },
      least: { v: -Infinity },
      one: { v: 1 },
    });
    expect(await idsOf(collection.where("v", "<", 1))).toEqual(["least"]);
    expect(await idsOf(collection.where("v", "<=", 1))).toEqual(["least", "one"]);
    expect(await idsOf(collection.where("v", ">=", -Infinity))).toEqual(["least", "one"]);
    expect(await idsOf(collection.where("v", "in", [NaN, null, 1]))).toEqual(["one"]);
    expect(await idsOf(collection.where("v", "not-in", [NaN, 1]))).toEqual(["nan", "least"]);
    expect(await idsOf(collection.where("list", "array-contains-any", [null, NaN]))).toEqual([]);
    expect(await idsOf(collection.where("list", "array-contains", 1))).toEqual(["nan"]);
  });

  test("look into arrays and nested fields", async () => {
    const collection = await collectionOf({
      a: { tags: ["x", "y", 1], m: { n: 1 } },
      b: { tags: ["y"], m: { n: 2 } },
      c: { tags: "x", m: 3 },
    });
    expect(await idsOf(collection.where("tags", "array-contains", "x"))).toEqual(["a"]);
    expect(await idsOf(collection.where("tags", "array-contains-any", [1, "y"]))).toEqual(["a", "b"]);
    expect(await idsOf(collection.where("m.n", ">", 1))).toEqual(["b"]);
    expect(await idsOf(collection.where("m", "==", { n: 1 }))).toEqual(["a"]);
  });

  test("combine with and, or, and the document's name", async () => {
    const collection = await collectionOf({
      a: { n: 1, k: 1 },
      b: { n: 2, k: 1 },
      c: { n: 3, k: 2 },
      d: { n: 4 },
    });
    const either = Filter.or(
      Filter.where("n", "==", 1),
      Filter.and(Filter.where("n", "==", 3), Filter.where("k", "==", 2)),
    );
    expect(await idsOf(collection.where(either))).toEqual(["a", "c"]);
    expect(await idsOf(collection.where("n", ">", 1).where("k", "==", 1))).toEqual(["b"]);
    expect(await idsOf(collection.where(NAME, ">", "b"))).toEqual(["c", "d"]);
    expect(await idsOf(collection.where(NAME, "<=", "b"))).toEqual(["a", "b"]);
    expect(await idsOf(collection.where("k", "==", 1).orderBy(NAME, "desc"))).toEqual(["b", "a"]);
    expect(await idsOf(collection.where(NAME, "in", ["d", "zzz", "a"]))).toEqual(["a", "d"]);
    expect(await idsOf(collection.where(NAME, "==", "c").where("n", "==", 3))).toEqual(["c"]);
  });
});

describe("orders, limits and cursors", () => {
  test("values of all types have one order", async () => {
    const ordered = [
      null,
      false,
      true,
      NaN,
      -Infinity,
      -1.5,
      0,
      Number.MAX_SAFE_INTEGER,
      Infinity,
      Timestamp.fromMillis(1),
      Timestamp.fromMillis(2),
      "",
      "a",
      "ab",
      "b",
      "\uffff",
      "\u{1f600}",
      Buffer.from([]),
      Buffer.from([1]),
      Buffer.from([1, 0]),
      target.db.doc("a/b"),
      target.db.doc("a/b/c/d"),
      target.db.doc("a/b-"),
      new GeoPoint(-1, 5),
      new GeoPoint(0, -5),
      [],
      [1],
      [1, "x"],
      [2],
      {},
      { a: 1 },
      { a: 1, b: 0 },
      { a: 2 },
      { b: 0 },
    ];
    const ids = ordered.map((_value, i) => String(i).padStart(2, "0"));
    const documents = ids.map((id, i): [string, object] => [id, { v: ordered[i] }]);
    const collection = await collectionOf(Object.fromEntries(documents.reverse()));
    expect(await idsOf(collection.orderBy("v"))).toEqual(ids);
    expect(await idsOf(collection.orderBy("v", "desc"))).toEqual([...ids].reverse());
  });

  test("names are ordered by their bytes, and break ties in the last order's direction", async () => {
    const ids = ["B", "a", "a-", "b", "ü", "\uffff", "\u{1f600}"];
    const collection = await collectionOf(Object.fromEntries(ids.map((id) => [id, { same: 1 }])));
    expect(await idsOf(collection)).toEqual(ids);
    expect(await idsOf(collection.orderBy("same", "desc"))).toEqual([...ids].reverse());
    const descending = collection.where("same", "==", 1).orderBy(NAME, "desc");
    expect(await idsOf(descending.limit(2))).toEqual(["\u{1f600}", "\uffff"]);
  });

  test("an inequality on the name leaves the order of other fields as it is", async () => {
    const collection = await collectionOf({ a: { n: 3 }, b: { n: 2 }, c: { n: 1 }, d: { n: 0 } });
    expect(await idsOf(collection.where(NAME, ">", "a").where("n", ">", 0))).toEqual(["c", "b"]);
    expect(await idsOf(collection.where(NAME, ">=", "b").orderBy("n"))).toEqual(["d", "c", "b"]);
    expect(await idsOf(collection.where(NAME, "!=", "c").where("n", "<", 3))).toEqual(["d", "b"]);
  });

  test("numeric ids come first, in the order of their numbers", async () => {
    const ids = ["__id-3__", "__id7__", "__id12__", "0", "7", "__id", "a"];
    const collection = await collectionOf(Object.fromEntries(ids.map((id, n) => [id, { n }]).reverse()));
    expect(await idsOf(collection)).toEqual(ids);
    expect(await idsOf(collection.where(NAME, ">", "__id7__").limit(2))).toEqual(["__id12__", "0"]);
    expect((await collection.listDocuments()).map(({ id }) => id)).toEqual(ids);
    const paths = ids.map((id) => collection.doc(id));
    const references = await collectionOf(Object.fromEntries(paths.map((r, i) => [String(9 - i), { r }])));
    expect(await idsOf(references.orderBy("r"))).toEqual(["9", "8", "7", "6", "5", "4", "3"]);
  });

  test("limit, limitToLast, offset and select", async () => {
    const collection = await collectionOf({ a: { n: 3, x: 1 }, b: { n: 2 }, c: { n: 1 }, d: {} });
    expect(await idsOf(collection.orderBy("n").limit(2))).toEqual(["c", "b"]);
    expect(await idsOf(collection.orderBy("n").limitToLast(2))).toEqual(["b", "a"]);
    expect(await idsOf(collection.orderBy("n").offset(1))).toEqual(["b", "a"]);
    expect(await idsOf(collection.limit(1).offset(2))).toEqual(["c"]);
    const selected = await collection.orderBy("n", "desc").select("x").get();
    expect(selected.docs.map((snapshot) => snapshot.data())).toEqual([{ x: 1 }, {}, {}]);
    expect((await collection.select().get()).docs.map((snapshot) => snapshot.data())).toEqual([
      {},
      {},
      {},
      {},
    ]);
  });

  test("cursors by values, by prefixes of values and by snapshots", async () => {
    const collection = await collectionOf({
      a: { n: 1, m: 2 },
      b: { n: 1, m: 1 },
      c: { n: 2, m: 0 },
      d: { n: 3, m: 0 },
    });
    const query = collection.orderBy("n").orderBy("m");
    expect(await idsOf(query.startAt(1))).toEqual(["b", "a", "c", "d"]);
    expect(await idsOf(query.startAfter(1))).toEqual(["c", "d"]);
    expect(await idsOf(query.startAt(1, 2))).toEqual(["a", "c", "d"]);
    expect(await idsOf(query.endBefore(2))).toEqual(["b", "a"]);
    expect(await idsOf(query.endAt(2))).toEqual(["b", "a", "c"]);
    const [first] = (await query.limit(1).get()).docs;
    expect(await idsOf(query.startAfter(first))).toEqual(["a", "c", "d"]);
    expect(await idsOf(query.endAt(first))).toEqual(["b"]);
    const last = (await query.get()).docs[3];
    expect(await idsOf(collection.orderBy("n", "desc").startAfter(last))).toEqual(["c", "b", "a"]);
  });

  test("a collection is paged through by name", async () => {
    const documents = Object.fromEntries(Array.from({ length: 1_201 }, (_none, i) => [`p${i}`, { i }]));
    const collection = await collectionOf(documents);
    const seen: string[] = [];
    for (let after = ""; ;) {
      const query = collection.orderBy(NAME).limit(100);
      const page = await idsOf(after ? query.startAfter(after) : query);
      seen.push(...page);
      if (page.length < 100) break;
      after = page.at(-1) ?? "";
    }
    expect(seen).toEqual(Object.keys(documents).sort());
  });
});

describe("random queries", () => {
  const values = [null, NaN, -1, 0, 1, 1.5, 2, "a", "b", true, ["a"], [1, "b"], { x: 1 }];
  const value = fc.constantFrom(...values);
  const data = fc.record({ a: value, b: value, c: fc.constantFrom(1, 2, 3) }, { requiredKeys: [] });
  const condition = fc.oneof(
    fc.record({
      field: fc.constantFrom("a", "b", "c"),
      op: fc.constantFrom("<", "<=", ">", ">=", "==", "!=", "array-contains"),
      value: fc.constantFrom(-1, 0, 1, 2, "a", "b", true),
    }),
    fc.record({
      field: fc.constantFrom("a", "b", "c"),
      op: fc.constantFrom("in", "array-contains-any"),
      value: fc.uniqueArray(fc.constantFrom(-1, 0, 1, 2, "a", "b"), { minLength: 1, maxLength: 4 }),
    }),
  ) as fc.Arbitrary<Condition>;
  const query = fc
    .record({
      conditions: fc.array(condition, { maxLength: 2 }),
      isDisjunction: fc.boolean(),
      order: fc.option(fc.record({ field: fc.constantFrom("a", "b", "c"), descending: fc.boolean() })),
      limit: fc.option(fc.integer({ min: 1, max: 12 })),
      offset: fc.integer({ min: 0, max: 3 }),
    })
    .filter(({ conditions, isDisjunction }) => {
      // The others are refused.
      const has = (...ops: string[]) => conditions.filter(({ op }) => ops.includes(op)).length;
      return has("!=") < 2 && (isDisjunction || has("array-contains", "array-contains-any") < 2);
    });

  test("find what a naive oracle finds", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(data, { minLength: 5, maxLength: 25 }),
        fc.array(query, { minLength: 10, maxLength: 10 }),
        async (documents, queries) => {
          const named = Object.fromEntries(
            documents.map((fields, i) => [`d${String(i).padStart(2, "0")}`, fields]),
          );
          const collection = await collectionOf(named);
          for (const one of queries) {
            const found = await collectionQuery(collection, one).get();
            expect(found.docs.map(({ id }) => id)).toEqual(oracle(named, one));
          }
        },
      ),
      { numRuns: 60 },
    );
  });
});

describe("collection groups", () => {
  test("reach every collection of an id, below the parent asked for", async () => {
    const { db } = target;
    const [root, group] = [uniqueId(), uniqueId()];
    const paths = [
      `${group}/a`,
      `${root}/x/${group}/b`,
      `${root}/x/${group}/b/deep/y/${group}/c`,
      `${root}/x/other/d`,
    ];
    await Promise.all(paths.map((path, n) => db.doc(path).set({ n })));
    expect((await db.collectionGroup(group).get()).docs.map(({ ref }) => ref.path)).toEqual(
      paths.slice(0, 3).sort(),
    );
    expect(
      (await db.collectionGroup(group).where("n", ">=", 1).get()).docs.map(({ ref }) => ref.path),
    ).toEqual([paths[1], paths[2]]);
    const first = await db.collectionGroup(group).orderBy(NAME).limit(1).get();
    const rest = await db.collectionGroup(group).orderBy(NAME).startAfter(first.docs[0]).get();
    expect(rest.docs.map(({ ref }) => ref.path)).toEqual(paths.slice(0, 3).sort().slice(1));
  });
});

describe("aggregations", () => {
  test("count, sum and average over the matching documents", async () => {
    const collection = await collectionOf({ a: { n: 1 }, b: { n: 2.5 }, c: { n: "x" }, d: { m: 1 } });
    expect((await collection.count().get()).data()).toEqual({ count: 4 });
    expect((await collection.where("n", ">", 1).count().get()).data()).toEqual({ count: 1 });
    expect((await collection.limit(3).count().get()).data()).toEqual({ count: 3 });
    const { sum, average } = AggregateField;
    expect((await collection.aggregate({ s: sum("n"), a: average("n") }).get()).data()).toEqual({
      s: 3.5,
      a: 1.75,
    });
    const none = collection.where("n", "==", "absent");
    expect((await none.aggregate({ s: sum("n"), a: average("n") }).get()).data()).toEqual({ s: 0, a: null });
  });

  test("of several fields look at documents that have them all", async () => {
    const collection = await collectionOf({ a: { n: 1, m: 10 }, b: { n: 2 }, c: { n: 3, m: 30 } });
    const { sum, count } = AggregateField;
    const result = await collection.aggregate({ n: sum("n"), m: sum("m"), count: count() }).get();
    expect(result.data()).toEqual({ n: 4, m: 40, count: 2 });
  });

  test("sums of integers are exact until they overflow into doubles", async () => {
    const collection = await collectionOf({
      a: { n: Number.MAX_SAFE_INTEGER },
      b: { n: -Number.MAX_SAFE_INTEGER },
      c: { n: 1 },
    });
    expect((await collection.aggregate({ s: AggregateField.sum("n") }).get()).data()).toEqual({ s: 1 });
  });
});

function collectionQuery(collection: CollectionReference, query: RandomQuery): Query {
  const filters = query.conditions.map(({ field, op, value }) => Filter.where(field, op, value));
  let built: Query = collection;
  if (filters.length > 0)
    built = built.where(query.isDisjunction ? Filter.or(...filters) : Filter.and(...filters));
  if (query.order) built = built.orderBy(query.order.field, query.order.descending ? "desc" : "asc");
  if (query.limit) built = built.limit(query.limit);
  return built.offset(query.offset);
}
