import { type DocumentReference, GeoPoint, Timestamp } from "@google-cloud/firestore";
import fc from "fast-check";
import { type FirestoreTarget, connect, startTarget, uniqueId } from "./firestore-target.ts";

let target: FirestoreTarget;
beforeAll(async () => {
  target = await startTarget();
});
afterAll(() => target.stop());

/**
 * Data of every plain type; integers as bigint, so that none loses a bit on its way through JavaScript. Only a geo
 * point's -0 is left out, of which Google's client makes 0.
 */
function anyData(reference: DocumentReference): fc.Arbitrary<Record<string, unknown>> {
  const fieldName = fc
    .string({ unit: "grapheme", minLength: 1, maxLength: 12 })
    .filter((name) => !/^__.*__$/s.test(name));
  const scalar = fc.oneof(
    fc.constant(null),
    fc.boolean(),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    fc.double().filter((value) => !Number.isSafeInteger(value) || Object.is(value, -0)),
    fc.string({ unit: "grapheme" }),
    fc.uint8Array().map((bytes) => Buffer.from(bytes)),
    fc
      .tuple(fc.integer({ min: -62_135_596_800, max: 253_402_300_799 }), fc.integer({ min: 0, max: 999_999 }))
      .map(([seconds, micros]) => new Timestamp(seconds, micros * 1_000)),
    fc
      .tuple(fc.double({ min: -90, max: 90, noNaN: true }), fc.double({ min: -180, max: 180, noNaN: true }))
      .map(([latitude, longitude]) => new GeoPoint(latitude + 0, longitude + 0)),
    fc.constant(reference),
  );
  const { data } = fc.letrec<{ value: unknown; element: unknown; data: Record<string, unknown> }>((tie) => ({
    data: fc.dictionary(fieldName, tie("value"), { maxKeys: 5, noNullPrototype: true }),
    element: fc.oneof({ maxDepth: 4, withCrossShrink: true }, scalar, tie("data")),
    value: fc.oneof(
      { maxDepth: 4, withCrossShrink: true },
      scalar,
      tie("data"),
      fc.array(tie("element"), { maxLength: 5 }),
    ),
  }));
  return data;
}

describe("values", () => {
  test("come back to the last bit", async () => {
    const db = connect(target.address, target.project, { useBigInt: true });
    const reference = db.doc(`${uniqueId()}/document`);
    await fc.assert(
      fc.asyncProperty(anyData(reference), async (data) => {
        await reference.set(data);
        expect(normalise((await reference.get()).data())).toEqual(normalise(data));
      }),
      { numRuns: 300 },
    );
    await db.terminate();
  });

  test("of numbers beyond the exact integers and at the edges are kept", async () => {
    const db = connect(target.address, target.project, { useBigInt: true });
    const reference = db.doc(`${uniqueId()}/document`);
    const data = { max: 2n ** 63n - 1n, min: -(2n ** 63n), odd: 9_007_199_254_740_993n };
    await reference.set({ ...data, minusZero: -0, nan: NaN, infinity: -Infinity, tiny: 5e-324 });
    const read = (await reference.get()).data() ?? {};
    expect(read).toEqual({ ...data, minusZero: -0, nan: NaN, infinity: -Infinity, tiny: 5e-324 });
    expect(Object.is(read["minusZero"], -0)).toBe(true);
    await db.terminate();
  });

  test("of timestamps lose what is finer than a microsecond", async () => {
    const reference = target.db.doc(`${uniqueId()}/document`);
    await reference.set({ at: new Timestamp(-1, 123_456_789) });
    expect((await reference.get()).get("at")).toEqual(new Timestamp(-1, 123_456_000));
  });

  test("may have field names that mean something to JavaScript", async () => {
    const reference = target.db.doc(`${uniqueId()}/document`);
    const data = { constructor: 1, toString: { hasOwnProperty: 2 }, length: 3 };
    await reference.set(data);
    expect((await reference.get()).data()).toEqual(data);
    const found = await reference.parent.where("valueOf", "!=", 0).get();
    expect(found.empty).toBe(true);
  });

  test.each([
    ["nested arrays", { list: [[1]] }, /array/],
    ["reserved field names", { __name__: 1 }, /__name__/],
    ["more than a mebibyte", { text: "x".repeat(1_048_577) }, /1,?048,?576|1048487|maximum/],
  ])("cannot be %s", async (_what, data, message) => {
    const reference = target.db.doc(`${uniqueId()}/document`);
    await expect(reference.set(data)).rejects.toThrow(message);
    expect((await reference.get()).exists).toBe(false);
  });
});

/** References hold their client, which is not to be compared. */
function normalise(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(normalise);
  if (typeof value !== "object" || value === null || value instanceof Timestamp || value instanceof GeoPoint)
    return value;
  if (Buffer.isBuffer(value)) return `bytes:${value.toString("hex")}`;
  if ("path" in value && "firestore" in value) return `reference:${String(value.path)}`;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, normalise(inner)]));
}
