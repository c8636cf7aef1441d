import { type FirestoreTarget, startTarget, uniqueId } from "./firestore-target.ts";

let target: FirestoreTarget;
beforeAll(async () => {
  target = await startTarget();
});
afterAll(() => target.stop());

const set = (...paths: string[]) => Promise.all(paths.map((path) => target.db.doc(path).set({})));

test("listDocuments has the missing ancestors of what exists, and no longer when it is gone", async () => {
  const root = uniqueId();
  await set(`${root}/b`, `${root}/a/sub/x`, `${root}/c/sub/y/deep/z`, `${root}/gone/sub/x`);
  await target.db.doc(`${root}/gone/sub/x`).delete();
  const listed = await target.db.collection(root).listDocuments();
  expect(listed.map(({ id }) => id)).toEqual(["a", "b", "c"]);
  expect((await target.db.collection(root).get()).docs.map(({ id }) => id)).toEqual(["b"]);
});

test("listDocuments pages through a large collection", async () => {
  const collection = target.db.collection(uniqueId());
  const writer = target.db.bulkWriter({ throttling: false });
  const ids = Array.from({ length: 1_000 }, (_none, i) => `d${String(i).padStart(4, "0")}`);
  for (const id of ids) void writer.set(collection.doc(id), {});
  await writer.close();
  expect((await collection.listDocuments()).map(({ id }) => id)).toEqual(ids);
});

test("listCollections has those with something in or below them", async () => {
  const root = uniqueId();
  await set(`${root}/d/b/x`, `${root}/d/a/missing/sub/x`, `${root}/d/gone/x`);
  await target.db.doc(`${root}/d/gone/x`).delete();
  expect((await target.db.doc(`${root}/d`).listCollections()).map(({ id }) => id)).toEqual(["a", "b"]);
  expect((await target.db.listCollections()).map(({ id }) => id)).toContain(root);
});
