import { FieldPath, FieldValue, GrpcStatus, Timestamp, type WriteResult } from "@google-cloud/firestore";
import { FirestoreClient } from "./raw-client.ts";
import { type FirestoreTarget, OFFICIAL_HOST, connect, startTarget, uniqueId } from "./firestore-target.ts";

let target: FirestoreTarget;
beforeAll(async () => {
  target = await startTarget();
});
afterAll(() => target.stop());

const newReference = () => target.db.doc(`${uniqueId()}/document`);

function micros({ seconds, nanoseconds }: Timestamp): number {
  return seconds * 1e6 + nanoseconds / 1e3;
}

describe("writes of one document", () => {
  test("set replaces, set with merge and update change what they name", async () => {
    const reference = newReference();
    await reference.set({ a: 1, map: { x: 1, y: 2 } });
    await reference.set({ map: { y: 3, z: 4 } }, { merge: true });
    expect((await reference.get()).data()).toEqual({ a: 1, map: { x: 1, y: 3, z: 4 } });
    await reference.set({ a: 5, b: 6, map: { x: 7 } }, { mergeFields: ["a", "map.x"] });
    expect((await reference.get()).data()).toEqual({ a: 5, map: { x: 7, y: 3, z: 4 } });
    await reference.update({ "map.x": FieldValue.delete(), b: 8 });
    expect((await reference.get()).data()).toEqual({ a: 5, b: 8, map: { y: 3, z: 4 } });
    await reference.update({ map: { only: true } });
    expect((await reference.get()).data()).toEqual({ a: 5, b: 8, map: { only: true } });
    await reference.set({ fresh: null });
    expect((await reference.get()).data()).toEqual({ fresh: null });
  });

  test("field paths with odd names are quoted", async () => {
    const reference = newReference();
    const odd = new FieldPath("a.b", "c`d\\e", "é f", "0");
    await reference.set({});
    await reference.update(odd, 1);
    expect((await reference.get()).data()).toEqual({ "a.b": { "c`d\\e": { "é f": { 0: 1 } } } });
    expect((await reference.get()).get(odd)).toBe(1);
    const [masked] = await target.db.getAll(reference, { fieldMask: [odd] });
    expect(masked?.get(odd)).toBe(1);
  });

  test("create refuses what exists, update what does not", async () => {
    const reference = newReference();
    await expect(reference.update({ a: 1 })).rejects.toMatchObject({
      code: GrpcStatus.NOT_FOUND,
      // Google's emulator names the document in a notation of its own.
      message: expect.stringContaining(OFFICIAL_HOST ? "document" : reference.path) as unknown,
    });
    await reference.create({ a: 1 });
    await expect(reference.create({ a: 2 })).rejects.toMatchObject({
      code: GrpcStatus.ALREADY_EXISTS,
      message: expect.stringContaining("already exists") as unknown,
    });
    expect((await reference.get()).data()).toEqual({ a: 1 });
  });

  test("lastUpdateTime holds for update and delete", async () => {
    const reference = newReference();
    const first = await reference.set({ a: 1 });
    const second = await reference.set({ a: 2 });
    await expect(reference.update({ a: 3 }, { lastUpdateTime: first.writeTime })).rejects.toMatchObject({
      code: GrpcStatus.FAILED_PRECONDITION,
    });
    await expect(reference.delete({ lastUpdateTime: first.writeTime })).rejects.toMatchObject({
      code: GrpcStatus.FAILED_PRECONDITION,
    });
    const third = await reference.update({ a: 3 }, { lastUpdateTime: second.writeTime });
    await reference.delete({ lastUpdateTime: third.writeTime });
    expect((await reference.get()).exists).toBe(false);
    await expect(reference.update({ a: 4 }, { lastUpdateTime: third.writeTime })).rejects.toThrow();
  });

  test("delete of what is missing succeeds, unless it must exist", async () => {
    const reference = newReference();
    await reference.delete();
    await expect(reference.delete({ exists: true })).rejects.toMatchObject({ code: GrpcStatus.NOT_FOUND });
  });

  test("createTime stays, updateTime changes, a new life has a new createTime", async () => {
    const reference = newReference();
    const created = await reference.set({ a: 1 });
    const updated = await reference.set({ a: 2 });
    const snapshot = await reference.get();
    expect(snapshot.createTime).toEqual(created.writeTime);
    expect(snapshot.updateTime).toEqual(updated.writeTime);
    expect(snapshot.readTime >= updated.writeTime).toBe(true);
    await reference.delete();
    const recreated = await reference.set({ a: 2 });
    expect((await reference.get()).createTime).toEqual(recreated.writeTime);
  });

  test("a write that changes nothing keeps the update time", async () => {
    const reference = newReference();
    const data = { one: 1, list: [1, { x: null }], zero: 0, nan: NaN };
    const first = await reference.set(data);
    expect((await reference.set(data)).writeTime).toEqual(first.writeTime);
    expect((await reference.update({ one: 1 })).writeTime).toEqual(first.writeTime);
    expect((await reference.set({}, { merge: true })).writeTime).toEqual(first.writeTime);
    expect((await reference.get()).updateTime).toEqual(first.writeTime);
    const minusZero = await reference.update({ zero: -0 });
    expect(minusZero.writeTime > first.writeTime).toBe(true);
  });

  test("update times increase strictly, to the microsecond, over concurrent writers", async () => {
    const collection = target.db.collection(uniqueId());
    const results: WriteResult[] = [];
    await Promise.all(
      Array.from({ length: 8 }, async (_none, writer) => {
        for (let i = 0; i < 40; i++)
          results.push(await collection.doc(`d${(writer + i) % 5}`).set({ writer, i }));
      }),
    );
    const times = results.map(({ writeTime }) => micros(writeTime));
    expect(new Set(times).size).toBe(times.length);
    expect(times.every(Number.isInteger)).toBe(true);
    expect(times.some((time) => time % 1_000 !== 0)).toBe(true);
    const final = await collection.get();
    for (const { updateTime } of final.docs) expect(times).toContain(micros(updateTime));
  });
});

describe("field masks of reads", () => {
  test("let through what they name", async () => {
    const reference = newReference();
    await reference.set({ a: 1, map: { x: 1, y: 2 }, b: 3 });
    const [snapshot] = await target.db.getAll(reference, { fieldMask: ["a", "map.y", "missing"] });
    expect(snapshot?.data()).toEqual({ a: 1, map: { y: 2 } });
  });

  test("getAll answers in the order asked for, missing and repeated ones included", async () => {
    const collection = target.db.collection(uniqueId());
    await collection.doc("a").set({ n: 1 });
    await collection.doc("b").set({ n: 2 });
    const found = await target.db.getAll(...["b", "none", "a", "b"].map((id) => collection.doc(id)));
    expect(found.map((snapshot) => snapshot.data()?.["n"] as unknown)).toEqual([2, undefined, 1, 2]);
  });
});

describe("transforms", () => {
  test("increment adds integers exactly, stops at their ends, and mixes with doubles", async () => {
    const reference = newReference();
    await reference.set({ i: 1, d: 0.5, text: "x", max: 9_007_199_254_740_991 });
    await reference.update({
      i: FieldValue.increment(2),
      d: FieldValue.increment(1),
      text: FieldValue.increment(5),
      absent: FieldValue.increment(-1),
      max: FieldValue.increment(0.5),
    });
    expect((await reference.get()).data()).toEqual({
      i: 3,
      d: 1.5,
      text: 5,
      absent: -1,
      max: 9_007_199_254_740_991.5,
    });
  });

  test("serverTimestamp is the commit's time, wherever it stands", async () => {
    const reference = newReference();
    const { writeTime } = await reference.set({
      at: FieldValue.serverTimestamp(),
      map: { at: FieldValue.serverTimestamp() },
    });
    const data = (await reference.get()).data() as { at: Timestamp };
    expect(data).toEqual({ at: data.at, map: { at: data.at } });
    // Google's emulator takes the time of the request, in milliseconds.
    if (!OFFICIAL_HOST) expect(data.at).toEqual(writeTime);
  });

  test("arrayUnion and arrayRemove go by equality, of which 1 and 1.0 are an instance", async () => {
    const reference = newReference();
    await reference.set({ list: [1, 2, { x: 1 }, 2, null, NaN], none: "text" });
    await reference.update({
      list: FieldValue.arrayUnion(2, 3, { x: 1 }, { x: 2 }, 3, NaN),
      none: FieldValue.arrayUnion("a", "a"),
    });
    expect((await reference.get()).data()).toEqual({
      list: [1, 2, { x: 1 }, 2, null, NaN, 3, { x: 2 }],
      none: ["a"],
    });
    await reference.update({
      list: FieldValue.arrayRemove(2, null, { x: 1 }),
      none: FieldValue.arrayRemove("z"),
    });
    expect((await reference.get()).data()).toEqual({ list: [1, NaN, 3, { x: 2 }], none: ["a"] });
  });

  test("are applied after the data, and create the document", async () => {
    const reference = newReference();
    await reference.set({ a: 1, n: FieldValue.increment(3) });
    await reference.set({ b: 2, n: FieldValue.increment(4) }, { merge: true });
    expect((await reference.get()).data()).toEqual({ a: 1, b: 2, n: 7 });
    await reference.set({ n: FieldValue.increment(1) });
    expect((await reference.get()).data()).toEqual({ n: 1 });
  });

  test("int64 increments saturate, and maximum and minimum keep the type of the greater and the lesser", async () => {
    const raw = new FirestoreClient(target.address, target.project);
    const reference = newReference();
    await reference.set({ i: 1, d: 2.5, max: 1, equal: 3, nan: 1, text: "x" });
    const integer = (value: string) => ({ integerValue: value });
    const double = (value: number) => ({ doubleValue: value });
    const { writeResults } = await raw.commit([
      {
        update: { name: raw.nameOf(reference.path), fields: {} },
        updateMask: { fieldPaths: [] },
        updateTransforms: [
          { fieldPath: "max", increment: integer("9223372036854775807") },
          { fieldPath: "i", maximum: double(1.5) },
          { fieldPath: "d", minimum: integer("2") },
          { fieldPath: "equal", maximum: double(3) },
          { fieldPath: "nan", minimum: double(NaN) },
          { fieldPath: "text", maximum: integer("4") },
        ],
      },
    ]);
    raw.close();
    expect(writeResults[0]?.transformResults).toMatchObject([
      integer("9223372036854775807"),
      double(1.5),
      integer("2"),
      integer("3"),
      double(NaN),
      integer("4"),
    ]);
  });
});

describe("batches", () => {
  test("commit all at one time or nothing", async () => {
    const collection = target.db.collection(uniqueId());
    await collection.doc("there").set({ n: 1 });
    const good = target.db.batch();
    good
      .set(collection.doc("a"), { n: 1 })
      .update(collection.doc("there"), { n: 2 })
      .set(collection.doc("b"), { n: 3 });
    const results = await good.commit();
    expect(new Set(results.map(({ writeTime }) => micros(writeTime))).size).toBe(1);

    const bad = target.db.batch();
    bad.set(collection.doc("c"), {}).delete(collection.doc("a")).create(collection.doc("there"), {});
    await expect(bad.commit()).rejects.toMatchObject({ code: GrpcStatus.ALREADY_EXISTS });
    expect((await collection.get()).docs.map(({ id }) => id)).toEqual(["a", "b", "there"]);
  });

  test("apply several writes of a document in order", async () => {
    const reference = newReference();
    const batch = target.db.batch();
    batch
      .create(reference, { n: 1 })
      .update(reference, { n: FieldValue.increment(1) })
      .update(reference, { m: 1 });
    await batch.commit();
    expect((await reference.get()).data()).toEqual({ n: 2, m: 1 });
    const gone = target.db.batch();
    await gone.update(reference, { n: 9 }).delete(reference).commit();
    expect((await reference.get()).exists).toBe(false);
  });

  test("may have a thousand writes", async () => {
    const collection = target.db.collection(uniqueId());
    const batch = target.db.batch();
    for (let i = 0; i < 1_000; i++) batch.set(collection.doc(), { i });
    await batch.commit();
    expect((await collection.count().get()).data().count).toBe(1_000);
  });
});

describe("BulkWriter", () => {
  test("has a status for each write", async () => {
    const collection = target.db.collection(uniqueId());
    const { writeTime } = await collection.doc("there").set({ n: 1 });
    const writer = target.db.bulkWriter();
    const outcomes = [
      writer.create(collection.doc("new"), { n: 1 }),
      writer.create(collection.doc("there"), { n: 2 }),
      writer.update(collection.doc("absent"), { n: 3 }),
      writer.delete(collection.doc("never"), { lastUpdateTime: writeTime }),
      writer.set(collection.doc("other"), { n: 4 }),
    ].map((outcome) =>
      outcome.then(
        () => GrpcStatus.OK,
        (error: { code: number }) => error.code,
      ),
    );
    await writer.close();
    expect(await Promise.all(outcomes)).toEqual([
      GrpcStatus.OK,
      GrpcStatus.ALREADY_EXISTS,
      GrpcStatus.NOT_FOUND,
      GrpcStatus.FAILED_PRECONDITION,
      GrpcStatus.OK,
    ]);
    expect((await collection.get()).docs.map(({ id }) => id)).toEqual(["new", "other", "there"]);
  });

  test("recursiveDelete removes a tree, and only that", async () => {
    const collection = target.db.collection(uniqueId());
    const paths = ["a", "a/b/c", "a/b/c/d/e", "x/y/z", "other"];
    await Promise.all(paths.map((path) => target.db.doc(`${collection.id}/${path}`).set({})));
    await target.db.recursiveDelete(collection.doc("a"));
    expect((await collection.listDocuments()).map(({ id }) => id)).toEqual(["other", "x"]);
    await target.db.recursiveDelete(collection);
    expect(await collection.listDocuments()).toEqual([]);
  });
});

describe("invalid requests", () => {
  test.each([
    ["a reserved document id", "providers/__reserved__", /reserved/],
    ["an empty id", "providers//x/y", /./],
    ["a collection's path", "providers", /./],
  ])("%s is INVALID_ARGUMENT", async (_what, path, message) => {
    const raw = new FirestoreClient(target.address, target.project);
    const write = { update: { name: raw.nameOf(path), fields: {} } };
    await expect(raw.commit([write])).rejects.toMatchObject({
      code: GrpcStatus.INVALID_ARGUMENT,
      message: expect.stringMatching(message) as unknown,
    });
    raw.close();
  });

  test("the same document twice in one BatchWrite is INVALID_ARGUMENT", async () => {
    const raw = new FirestoreClient(target.address, target.project);
    const write = { update: { name: raw.nameOf("providers/a"), fields: {} } };
    await expect(raw.batchWrite([write, write])).rejects.toMatchObject({ code: GrpcStatus.INVALID_ARGUMENT });
    raw.close();
  });
});

describe("databases", () => {
  test("of one project are apart", async () => {
    const other = connect(target.address, target.project, { databaseId: "other" });
    const path = newReference().path;
    await target.db.doc(path).set({ where: "default" });
    expect((await other.doc(path).get()).exists).toBe(false);
    await other.doc(path).set({ where: "other" });
    expect((await target.db.doc(path).get()).get("where")).toBe("default");
    await other.terminate();
  });
});
