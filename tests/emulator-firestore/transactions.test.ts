import { FieldValue, GrpcStatus, Timestamp } from "@google-cloud/firestore";
import { waitFor } from "../harness/wait-for.ts";
import { FirestoreClient } from "./raw-client.ts";
import { type FirestoreTarget, OFFICIAL_HOST, startTarget, uniqueId } from "./firestore-target.ts";

let target: FirestoreTarget;
let raw: FirestoreClient;
beforeAll(async () => {
  target = await startTarget();
  raw = new FirestoreClient(target.address, target.project);
});
afterAll(async () => {
  raw.close();
  await target.stop();
});

const newReference = () => target.db.doc(`${uniqueId()}/document`);

describe("transactions", () => {
  test("that increment at the same time lose nothing", async () => {
    const reference = newReference();
    await reference.set({ n: 0 });
    await Promise.all(
      Array.from({ length: 12 }, () =>
        target.db.runTransaction(
          async (transaction) => {
            const snapshot = await transaction.get(reference);
            transaction.update(reference, { n: Number(snapshot.get("n")) + 1 });
          },
          { maxAttempts: 30 },
        ),
      ),
    );
    expect((await reference.get()).get("n")).toBe(12);
  });

  test("run again when what they read has changed, and see the change", async () => {
    const reference = newReference();
    await reference.set({ n: 1 });
    const seen: number[] = [];
    await target.db.runTransaction(async (transaction) => {
      seen.push(Number((await transaction.get(reference)).get("n")));
      if (seen.length === 1) await outside(() => reference.set({ n: 10 }));
      transaction.update(reference, { n: FieldValue.increment(1) });
    });
    // Google's emulator lets the other write wait for the transaction.
    if (OFFICIAL_HOST)
      await waitFor(async () => (await reference.get()).get("n") === 10, { what: "the other write" });
    else expect([...seen, (await reference.get()).get("n")]).toEqual([1, 10, 11]);
  });

  test("roll back when their function throws", async () => {
    const reference = newReference();
    await expect(
      target.db.runTransaction(async (transaction) => {
        await transaction.get(reference);
        transaction.set(reference, {});
        throw new Error("no");
      }),
    ).rejects.toThrow("no");
    expect((await reference.get()).exists).toBe(false);
  });

  test("fail for good on a failed precondition, with nothing written", async () => {
    const [reference, other] = [newReference(), newReference()];
    await reference.set({});
    const attempt = target.db.runTransaction(async (transaction) => {
      await transaction.get(reference);
      transaction.set(other, {}).create(reference, {});
    });
    await expect(attempt).rejects.toMatchObject({ code: GrpcStatus.ALREADY_EXISTS });
    expect((await other.get()).exists).toBe(false);
  });

  test("may read many documents, queries and aggregations", async () => {
    const collection = target.db.collection(uniqueId());
    await collection.doc("a").set({ n: 1 });
    await collection.doc("b").set({ n: 2 });
    const read = await target.db.runTransaction(async (transaction) => [
      (await transaction.getAll(collection.doc("a"), collection.doc("none"))).map(({ exists }) => exists),
      (await transaction.get(collection.where("n", ">", 1))).size,
      (await transaction.get(collection.count())).data().count,
    ]);
    expect(read).toEqual([[true, false], 1, 2]);
  });
});

// Google's emulator locks what is read; there these interleavings would wait for each other rather than conflict.
if (!OFFICIAL_HOST) {
  describe("conflicts are aborted", () => {
    const ABORTED = {
      code: GrpcStatus.ABORTED,
      message: expect.stringContaining("Too much contention") as unknown,
    };
    const write = (path: string, n: number) => ({
      update: { name: raw.nameOf(path), fields: { n: { integerValue: n } } },
    });
    const read = (transaction: Buffer, path: string) =>
      raw.stream("BatchGetDocuments", { database: raw.database, documents: [raw.nameOf(path)], transaction });
    const query = (transaction: Buffer, collectionId: string, atLeast: number) =>
      raw.stream("RunQuery", {
        parent: raw.nameOf("").slice(0, -1),
        transaction,
        structuredQuery: {
          from: [{ collectionId }],
          where: {
            fieldFilter: {
              field: { fieldPath: "n" },
              op: "GREATER_THAN_OR_EQUAL",
              value: { integerValue: atLeast },
            },
          },
        },
      });

    test("write skew: of two that read both and write one each, one commits", async () => {
      const [a, b] = [newReference().path, newReference().path];
      const [first, second] = [await raw.beginTransaction(), await raw.beginTransaction()];
      for (const transaction of [first, second])
        await Promise.all([read(transaction, a), read(transaction, b)]);
      await raw.commit([write(a, 1)], first);
      await expect(raw.commit([write(b, 1)], second)).rejects.toMatchObject(ABORTED);
    });

    test("phantoms: a document that a query would now find, or would have found", async () => {
      const collection = uniqueId();
      const change = [
        () => raw.commit([write(`${collection}/new`, 5)]),
        () => raw.commit([write(`${collection}/new`, 1)]),
      ];
      for (const doChange of change) {
        const transaction = await raw.beginTransaction();
        await query(transaction, collection, 5);
        await doChange();
        await expect(raw.commit([write(`${collection}/other`, 0)], transaction)).rejects.toMatchObject(
          ABORTED,
        );
      }
    });

    test("but not changes that the query could not see", async () => {
      const collection = uniqueId();
      const transaction = await raw.beginTransaction();
      await query(transaction, collection, 5);
      await raw.commit([write(`${collection}/new`, 4), write(`${uniqueId()}/elsewhere`, 5)]);
      await raw.commit([write(`${collection}/other`, 0)], transaction);
    });

    test("a document that came into being after it was read as missing", async () => {
      const { path } = newReference();
      const transaction = await raw.beginTransaction();
      await read(transaction, path);
      await raw.commit([write(path, 1)]);
      await expect(raw.commit([], transaction)).rejects.toMatchObject(ABORTED);
    });

    test("data cleared in between", async () => {
      const { path } = newReference();
      const transaction = await raw.beginTransaction();
      await read(transaction, path);
      const cleared = `http://${target.address}/emulator/v1/projects/${target.project}/databases/(default)/documents`;
      expect((await fetch(cleared, { method: "DELETE" })).ok).toBe(true);
      await expect(raw.commit([write(path, 1)], transaction)).rejects.toMatchObject({
        message: expect.stringContaining("transaction has expired") as unknown,
      });
    });

    test("all reads of a transaction see one moment", async () => {
      const [a, b] = [newReference().path, newReference().path];
      await raw.commit([write(a, 1), write(b, 1)]);
      const transaction = await raw.beginTransaction();
      await read(transaction, a);
      await raw.commit([write(a, 2), write(b, 2)]);
      expect(await read(transaction, b)).toMatchObject([{ found: { fields: { n: { integerValue: "1" } } } }]);
    });
  });
}

describe("transaction ids", () => {
  test("are good for one commit or rollback", async () => {
    const invalid = { code: GrpcStatus.INVALID_ARGUMENT };
    const committed = await raw.beginTransaction();
    await raw.commit([], committed);
    await expect(raw.commit([], committed)).rejects.toMatchObject(invalid);
    const rolledBack = await raw.beginTransaction();
    await raw.rollback(rolledBack);
    await expect(raw.commit([], rolledBack)).rejects.toMatchObject(invalid);
    await expect(raw.commit([], Buffer.from("unknown"))).rejects.toMatchObject(invalid);
  });

  test("of a transaction tried before can be named when it is tried again", async () => {
    const first = await raw.beginTransaction();
    await raw.rollback(first);
    expect((await raw.beginTransaction({ readWrite: { retryTransaction: first } })).length).toBeGreaterThan(
      0,
    );
  });
});

describe("reads of the past", () => {
  test("read-only transactions see documents and queries as they were", async () => {
    const collection = target.db.collection(uniqueId());
    const [a, b] = [collection.doc("a"), collection.doc("b")];
    await a.set({ n: 1 });
    const { writeTime: readTime } = await b.set({ n: 1 });
    await a.set({ n: 2 });
    await b.delete();
    await collection.doc("c").set({ n: 1 });
    const past = await target.db.runTransaction(
      async (transaction) => [
        (await transaction.getAll(a, b, collection.doc("c"))).map((snapshot) => snapshot.data()),
        (await transaction.get(collection.where("n", "==", 1))).docs.map(({ id }) => id),
      ],
      { readOnly: true, readTime },
    );
    expect(past).toEqual([
      [{ n: 1 }, { n: 1 }, undefined],
      ["a", "b"],
    ]);
    expect((await collection.get()).docs.map(({ id }) => id)).toEqual(["a", "c"]);
  });

  test("a read-only transaction without a time stays at one moment and takes no writes", async () => {
    const reference = newReference();
    await reference.set({ n: 1 });
    const seen = await target.db.runTransaction(
      async (transaction) => {
        const before = (await transaction.get(reference)).get("n") as unknown;
        await reference.set({ n: 2 });
        return [before, (await transaction.get(reference)).get("n")];
      },
      { readOnly: true },
    );
    expect(seen).toEqual([1, 1]);
    const transaction = await raw.beginTransaction({ readOnly: {} });
    const write = { update: { name: raw.nameOf(reference.path), fields: {} } };
    await expect(raw.commit([write], transaction)).rejects.toMatchObject({
      code: GrpcStatus.INVALID_ARGUMENT,
    });
  });

  test("the future and the forgotten past are refused", async () => {
    const at = (readTime: Timestamp) =>
      target.db.runTransaction((transaction) => transaction.get(newReference()), {
        readOnly: true,
        readTime,
      });
    await expect(at(Timestamp.fromMillis(Date.now() + 60_000))).rejects.toThrow();
    await expect(at(Timestamp.fromMillis(0))).rejects.toThrow();
  });
});

/** Google's emulator makes a write wait for the transactions that have read the document: do not wait for the write. */
async function outside(write: () => Promise<unknown>): Promise<void> {
  const written = write();
  if (!OFFICIAL_HOST) await written;
}
