import { GrpcStatus } from "@google-cloud/firestore";
import { type FirestoreTarget, OFFICIAL_HOST, startTarget, uniqueId } from "./firestore-target.ts";
import { FirestoreClient } from "./raw-client.ts";

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

const named = (name: string) => ({
  code: GrpcStatus.UNIMPLEMENTED,
  message: expect.stringContaining(name) as unknown,
});

if (OFFICIAL_HOST) {
  test("Google's emulator says for itself what it lacks", () => undefined);
} else {
  describe("what is not implemented says so by name", () => {
    test.each(["PartitionQuery"])("%s", async (method) => {
      await expect(raw.call(method, {})).rejects.toMatchObject(named(method));
    });

    test.each(["ExecutePipeline"])("%s", async (method) => {
      await expect(raw.stream(method, {})).rejects.toMatchObject(named(method));
    });

    test("vector search", async () => {
      const search = target.db
        .collection(uniqueId())
        .findNearest({ vectorField: "v", queryVector: [1], limit: 1, distanceMeasure: "EUCLIDEAN" });
      await expect(search.get()).rejects.toMatchObject(named("find_nearest"));
    });

    test("query explain", async () => {
      await expect(target.db.collection(uniqueId()).explain({ analyze: false })).rejects.toMatchObject(
        named("explain_options"),
      );
    });

    test("a path of the HTTP side", async () => {
      const response = await fetch(`http://${target.address}/v1/projects/p`);
      expect(response.status).toBe(404);
      expect(await response.json()).toEqual({
        error: "GET /v1/projects/p is not implemented by the stand-in Firestore.",
      });
    });
  });
}
