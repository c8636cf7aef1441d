import {
  type DocumentReference,
  type DocumentSnapshot,
  type Firestore,
  GrpcStatus,
  type Query,
  type QuerySnapshot,
} from "@google-cloud/firestore";
import { startFirestoreServer } from "../../emulator/firestore/server.ts";
import { waitFor } from "../harness/wait-for.ts";
import { type FirestoreTarget, OFFICIAL_HOST, connect, startTarget, uniqueId } from "./firestore-target.ts";

let target: FirestoreTarget;
let stops: (() => void)[] = [];
beforeAll(async () => {
  target = await startTarget();
});
afterEach(() => endListeners(target.db));
afterAll(() => target.stop());

/** What a listener is told, as a list that grows: the results' ids and values, and how they changed. */
function told(query: Query): string[] {
  const snapshots: string[] = [];
  stops.push(query.onSnapshot((snapshot) => snapshots.push(shown(snapshot))));
  return snapshots;
}

function shown(snapshot: QuerySnapshot): string {
  const results = snapshot.docs.map((document) => `${document.id}=${String(document.get("v"))}`);
  const changes = snapshot.docChanges().map(({ type, doc }) => `${type} ${doc.id}`);
  return `${results.join(" ")} (${changes.join(", ")})`;
}

function toldOf(document: DocumentReference): DocumentSnapshot[] {
  const snapshots: DocumentSnapshot[] = [];
  stops.push(document.onSnapshot((snapshot) => void snapshots.push(snapshot)));
  return snapshots;
}

/** The read lets the client see the ends of its streams, which it cannot handle once Jest has left the file. */
async function endListeners(db: Firestore): Promise<void> {
  for (const stop of stops) stop();
  stops = [];
  await db.doc("any/document").get();
}

const count = (list: readonly unknown[], expected: number) =>
  waitFor(() => list.length >= expected, { what: `${expected} snapshots` });

test("a document is told as it is, as it changes, and as it goes", async () => {
  const document = target.db.collection(uniqueId()).doc("a");
  const snapshots = toldOf(document);
  await count(snapshots, 1);
  const { writeTime } = await document.set({ v: 1 });
  await count(snapshots, 2);
  await document.update({ v: 2 });
  await count(snapshots, 3);
  await document.delete();
  await count(snapshots, 4);
  await document.set({ v: 3 });
  await count(snapshots, 5);
  expect(snapshots.map((snapshot) => snapshot.data())).toEqual([
    undefined,
    { v: 1 },
    { v: 2 },
    undefined,
    { v: 3 },
  ]);
  expect(snapshots[1]?.updateTime?.isEqual(writeTime)).toBe(true);
});

test("a collection is told whole, then commit by commit", async () => {
  const collection = target.db.collection(uniqueId());
  await collection.doc("b").set({ v: 1 });
  const snapshots = told(collection);
  await count(snapshots, 1);
  const batch = target.db.batch();
  batch.set(collection.doc("a"), { v: 2 });
  batch.update(collection.doc("b"), { v: 3 });
  await batch.commit();
  await count(snapshots, 2);
  await collection.doc("b").delete();
  await count(snapshots, 3);
  expect(snapshots).toEqual(["b=1 (added b)", "a=2 b=3 (added a, modified b)", "a=2 (removed b)"]);
});

test("an empty collection is told, and what happens elsewhere or changes nothing is not", async () => {
  const collection = target.db.collection(uniqueId());
  const snapshots = told(collection);
  await count(snapshots, 1);
  await target.db.collection(uniqueId()).doc("a").set({ v: 1 });
  await collection.doc("a/sub/b").set({ v: 1 });
  await collection.doc("a").set({ v: 1 });
  await collection.doc("a").set({ v: 1 });
  await collection.doc("a").set({ v: 2 });
  await count(snapshots, 3);
  expect(snapshots).toEqual([" ()", "a=1 (added a)", "a=2 (modified a)"]);
});

test("documents enter and leave a filtered query", async () => {
  const collection = target.db.collection(uniqueId());
  await collection.doc("a").set({ v: 1 });
  await collection.doc("b").set({ v: 5 });
  const snapshots = told(collection.where("v", ">", 3).orderBy("v"));
  await count(snapshots, 1);
  await collection.doc("a").set({ v: 9 });
  await count(snapshots, 2);
  await collection.doc("b").set({ v: 0 });
  await count(snapshots, 3);
  await collection.doc("b").delete();
  await collection.doc("a").set({ v: 8 });
  await count(snapshots, 4);
  expect(snapshots).toEqual(["b=5 (added b)", "b=5 a=9 (added a)", "a=9 (removed b)", "a=8 (modified a)"]);
});

test("a limited query takes in what moves up", async () => {
  const collection = target.db.collection(uniqueId());
  for (const [id, v] of Object.entries({ a: 1, b: 2, c: 3 })) await collection.doc(id).set({ v });
  const snapshots = told(collection.orderBy("v", "desc").limit(2));
  await count(snapshots, 1);
  await collection.doc("b").delete();
  await count(snapshots, 2);
  await collection.doc("d").set({ v: 9 });
  await count(snapshots, 3);
  expect(snapshots).toEqual([
    "c=3 b=2 (added c, added b)",
    "c=3 a=1 (removed b, added a)",
    "d=9 c=3 (removed a, added d)",
  ]);
});

test("each listener is told what it listens to, until it ends", async () => {
  const collection = target.db.collection(uniqueId());
  const all = told(collection);
  const ended = told(collection);
  const small = told(collection.where("v", "<", 3));
  const one = toldOf(collection.doc("a"));
  await Promise.all([all, ended, small, one].map((list) => count(list, 1)));
  stops[1]?.();
  await collection.doc("b").set({ v: 2 });
  await collection.doc("a").set({ v: 7 });
  await count(all, 3);
  await count(one, 2);
  expect(all.at(-1)).toBe("a=7 b=2 (added a)");
  expect(small).toEqual([" ()", "b=2 (added b)"]);
  expect(one.map((snapshot) => snapshot.get("v") as unknown)).toEqual([undefined, 7]);
  expect(ended).toEqual([" ()"]);
});

test("transactions are told like other commits", async () => {
  const document = target.db.collection(uniqueId()).doc("a");
  await document.set({ v: 1 });
  const snapshots = toldOf(document);
  await count(snapshots, 1);
  await target.db.runTransaction(async (transaction) => {
    const { v } = (await transaction.get(document)).data() as { v: number };
    transaction.update(document, { v: v + 1 });
  });
  await count(snapshots, 2);
  expect(snapshots[1]?.get("v")).toBe(2);
});

test("a bad query is an error of the listener", async () => {
  const error = await new Promise<Error>((resolve) => {
    target.db.collection("__reserved__").onSnapshot(() => undefined, resolve);
  });
  expect(error.message).toMatch(`Error ${GrpcStatus.INVALID_ARGUMENT}: `);
});

if (!OFFICIAL_HOST) {
  describe("a listener of the stand-in", () => {
    test("is told when all documents are forgotten", async () => {
      const collection = target.db.collection(uniqueId());
      await collection.doc("a").set({ v: 1 });
      const snapshots = told(collection);
      await count(snapshots, 1);
      const path = `emulator/v1/projects/${target.project}/databases/(default)/documents`;
      await fetch(`http://${target.address}/${path}`, { method: "DELETE" });
      await count(snapshots, 2);
      expect(snapshots).toEqual(["a=1 (added a)", " (removed a)"]);
    });

    test("does not keep the server, and learns of its successor what has changed", async () => {
      const first = await startFirestoreServer();
      const address = `${first.host}:${first.port}`;
      const db = connect(address, target.project);
      await db.doc("c/a").set({ v: 1 });
      await db.doc("c/b").set({ v: 2 });
      const snapshots = told(db.collection("c"));
      await count(snapshots, 1);
      await first.close();

      const second = await startFirestoreServer({ port: first.port });
      const writer = connect(address, target.project);
      await writer.doc("c/b").set({ v: 3 });
      await count(snapshots, 2);
      expect(snapshots).toEqual(["a=1 b=2 (added a, added b)", "b=3 (removed a, modified b)"]);
      await endListeners(db);
      await Promise.all([db.terminate(), writer.terminate()]);
      await second.close();
    });
  });
}
