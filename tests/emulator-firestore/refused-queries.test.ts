import { type CollectionReference, FieldPath, Filter, GrpcStatus, type Query } from "@google-cloud/firestore";
import { type FirestoreTarget, startTarget, uniqueId } from "./firestore-target.ts";
import { FirestoreClient } from "./raw-client.ts";

let target: FirestoreTarget;
beforeAll(async () => {
  target = await startTarget();
});
afterAll(() => target.stop());

const NAME = FieldPath.documentId();

describe("what Firestore refuses", () => {
  const refused = { code: GrpcStatus.INVALID_ARGUMENT };
  const either = Filter.or(Filter.where("a", "==", 1), Filter.where("b", "==", 1));
  const many = (count: number) => Array.from({ length: count }, (_none, i) => i);

  test.each<[string, (collection: CollectionReference) => Query]>([
    ["more than one exclusion", (all) => all.where("a", "!=", 1).where("b", "not-in", [2])],
    ["not-in and in", (all) => all.where("a", "not-in", [1]).where("b", "in", [2])],
    ["not-in and or", (all) => all.where("a", "not-in", [1]).where(either)],
    ["a look into two arrays", (all) => all.where("a", "array-contains", 1).where("b", "array-contains", 1)],
    ["more than 30 disjunctions", (all) => all.where("a", "in", many(6)).where("b", "in", many(6))],
    ["one name and a range of a field", (all) => all.where(NAME, "==", "a").where("n", ">", 0)],
    ["an order after the name", (all) => all.orderBy(NAME).orderBy("n")],
    ["two orders of one field", (all) => all.orderBy("n").orderBy("n", "desc")],
  ])("%s", async (_what, query) => {
    await expect(query(target.db.collection(uniqueId())).get()).rejects.toMatchObject(refused);
  });

  test("a descending scan by name, for which it has no index", async () => {
    const scan = target.db.collection(uniqueId()).orderBy(NAME, "desc").get();
    await expect(scan).rejects.toMatchObject({ code: GrpcStatus.FAILED_PRECONDITION });
  });

  test("what Google's Node client does not send", async () => {
    const raw = new FirestoreClient(target.address, target.project);
    const collectionId = uniqueId();
    const run = (query: object, parent = `${raw.database}/documents`) =>
      raw.stream("RunQuery", { parent, structuredQuery: { from: [{ collectionId }], ...query } });
    const reference = (path: string) => ({ referenceValue: raw.nameOf(path) });
    const where = (fieldPath: string, op: string, value: object) => ({
      where: { fieldFilter: { field: { fieldPath }, op, value } },
    });
    const orderBy = [{ field: { fieldPath: "n" } }];
    await expect(run({ startAt: { values: [reference("c/a")] } })).rejects.toMatchObject(refused);
    const tooLong = { orderBy, startAt: { values: [{ integerValue: 1 }, reference("c/a")] } };
    await expect(run(tooLong)).rejects.toMatchObject(refused);
    await expect(run(where("n", "EQUAL", reference("c")))).rejects.toMatchObject(refused);
    await expect(run(where("__name__", "GREATER_THAN", { integerValue: 1 }))).rejects.toMatchObject(refused);
    await expect(run(where("__name__", "ARRAY_CONTAINS", reference("c/a")))).rejects.toMatchObject(refused);
    const group = { from: [{ collectionId, allDescendants: true }] };
    await expect(run({ ...group, orderBy }, raw.nameOf("c/a"))).rejects.toMatchObject(refused);
    await expect(run(group, raw.nameOf("c/a"))).resolves.toBeDefined();
    raw.close();
  });
});
