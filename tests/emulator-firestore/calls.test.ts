import { GrpcStatus } from "@google-cloud/firestore";
import { CallControls } from "../../emulator/firestore/controls.ts";
import { startFirestoreServer } from "../../emulator/firestore/server.ts";
import { connect, type FirestoreTarget, OFFICIAL_HOST, startTarget, uniqueId } from "./firestore-target.ts";
import { FirestoreClient } from "./raw-client.ts";

if (OFFICIAL_HOST) {
  test("Google's emulator has no call switches", () => undefined);
} else {
  describe("calls", () => {
    let target: FirestoreTarget;
    let controls: CallControls;
    let raw: FirestoreClient;
    beforeAll(async () => {
      target = await startTarget();
      controls = new CallControls(target.address);
      raw = new FirestoreClient(target.address, target.project);
    });
    afterEach(() => controls.clear());
    afterAll(async () => {
      raw.close();
      await target.stop();
    });

    const set = (path: string) => raw.commit([{ update: { name: raw.nameOf(path), fields: {} } }]);
    const exists = async (path: string) => (await target.db.doc(path).get()).exists;

    test("are refused before they are carried out, with the status asked for", async () => {
      const path = `${uniqueId()}/a`;
      for (const status of ["ABORTED", "RESOURCE_EXHAUSTED", "UNAVAILABLE"] as const) {
        await controls.set({ status, methods: ["Commit"] });
        await expect(set(path)).rejects.toMatchObject({ code: GrpcStatus[status] });
      }
      expect(await exists(path)).toBe(false);
      expect(await controls.stats()).toEqual({ delayed: 0, failed: 1 });
      await controls.clear();
      await set(path);
      expect(await exists(path)).toBe(true);
    });

    test("are carried out, and their answers lost", async () => {
      const path = `${uniqueId()}/a`;
      await controls.set({ status: "UNAVAILABLE", at: "answer", methods: ["Commit"] });
      await expect(set(path)).rejects.toMatchObject({ code: GrpcStatus.UNAVAILABLE });
      expect(await exists(path)).toBe(true);
    });

    test("meet a status as often as is asked for, and alike by the same seed", async () => {
      const outcomes = async () => {
        await controls.set({ status: "ABORTED", probability: 0.5, methods: ["Commit"], seed: 4 });
        const path = `${uniqueId()}/a`;
        const all = [];
        for (let i = 0; i < 20; i++)
          all.push(
            await set(path).then(
              () => "done",
              () => "refused",
            ),
          );
        return all;
      };
      const first = await outcomes();
      expect(new Set(first).size).toBe(2);
      expect(await outcomes()).toEqual(first);
    });

    test("wait, streams too; and one whose caller has gone is not carried out", async () => {
      await controls.set({ delayMs: 300 });
      const startMs = performance.now();
      await exists(`${uniqueId()}/a`);
      const path = `${uniqueId()}/a`;
      expect(performance.now() - startMs).toBeGreaterThan(299);
      const writes = [{ update: { name: raw.nameOf(path), fields: {} } }];
      const commit = raw.call("Commit", { database: raw.database, writes }, { deadline: Date.now() + 100 });
      await expect(commit).rejects.toMatchObject({ code: GrpcStatus.DEADLINE_EXCEEDED });
      await new Promise((resolve) => setTimeout(resolve, 300));
      await controls.clear();
      expect(await exists(path)).toBe(false);
    });

    test("listeners that begin are refused too, and come back by themselves", async () => {
      await controls.set({ status: "UNAVAILABLE", methods: ["Listen"] });
      let end = () => {};
      const heard = new Promise((resolve, reject) => {
        end = target.db.doc(`${uniqueId()}/a`).onSnapshot(resolve, reject);
      });
      while ((await controls.stats()).failed === 0) await new Promise((resolve) => setTimeout(resolve, 5));
      await controls.clear();
      await heard;
      end();
    });

    test.each([
      [{ stauts: "ABORTED" }, /"stauts" is no switch/],
      [{ status: "BROKEN" }, /status must be one of ABORTED/],
      [{ probability: 0.5 }, /probability is that of status/],
      [{ delayMs: [5, 1] }, /delayMs must be/],
      [{ methods: [] }, /methods must be/],
    ])("a bad switch is refused: %j", async (faults, message) => {
      await expect(controls.set(faults as never)).rejects.toThrow(message);
    });
  });

  test("a clock can be ahead of the machine's", async () => {
    const server = await startFirestoreServer({ clockOffsetMs: 90_000 });
    const db = connect(`127.0.0.1:${server.port}`, "demo-clock");
    const { writeTime } = await db.doc("clocks/a").set({});
    const aheadMs = writeTime.toMillis() - Date.now();
    expect(aheadMs).toBeGreaterThan(80_000);
    expect(aheadMs).toBeLessThan(91_000);
    await db.terminate();
    await server.close();
  });
}
