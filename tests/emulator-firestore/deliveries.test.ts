import { setTimeout as sleep } from "node:timers/promises";
import type { DeliveryFaults } from "../../emulator/firestore/delivery-faults.ts";
import { FakeFunctionsEmulator, registerFirstGen } from "./fake-functions-emulator.ts";
import { type FirestoreTarget, OFFICIAL_HOST, startTarget } from "./firestore-target.ts";

if (OFFICIAL_HOST) {
  test("Google's emulator has no delivery switches", () => undefined);
} else {
  describe("deliveries", () => {
    let target: FirestoreTarget;
    let functions: FakeFunctionsEmulator;
    beforeEach(async () => {
      target = await startTarget();
      functions = new FakeFunctionsEmulator();
      const address = await functions.start();
      const url = `http://${target.address}/stand-in/v1/functions-emulator`;
      expect((await fetch(url, { method: "PUT", body: JSON.stringify({ address }) })).ok).toBe(true);
      await registerFirstGen(target.address, target.project, "on-write", "providers/{id}");
    });
    afterEach(async () => {
      await functions.stop();
      await target.stop();
    });

    const provider = (id: string) => target.db.doc(`providers/${id}`);

    /** Ids of documents and their values, in the order of arrival. */
    const arrived = () =>
      functions.received.map(({ body }) => {
        const { context, data } = JSON.parse(body) as {
          context: { eventId: string; timestamp: string; resource: { name: string } };
          data: { value: { fields?: { n: { integerValue: string } } } };
        };
        return {
          eventId: context.eventId,
          timestamp: context.timestamp,
          what: `${context.resource.name.split("/").at(-1)}${data.value.fields?.n.integerValue ?? "-"}`,
        };
      });
    const whatArrived = () => arrived().map(({ what }) => what);

    async function write(...whats: string[]): Promise<void> {
      for (const what of whats) await provider(what.slice(0, 1)).set({ n: Number(what.slice(1)) });
    }

    test("keep each document's order and do not wait for other documents", async () => {
      let releaseA: (() => void) | undefined;
      functions.respond = ({ body }) =>
        body.includes("providers/a") && !releaseA
          ? new Promise((resolve) => (releaseA = () => resolve(200)))
          : 200;
      await write("a1", "a2", "b1", "a3", "b2");
      while (functions.received.length < 3) await sleep(5);
      expect(whatArrived()).toEqual(["a1", "b1", "b2"]);
      expect(await target.controls.stats()).toMatchObject({ pending: 3, delivered: 2 });
      releaseA?.();
      await target.controls.idle();
      expect(whatArrived()).toEqual(["a1", "b1", "b2", "a2", "a3"]);
    });

    test("are at most 32 at once", async () => {
      let now = 0;
      let most = 0;
      functions.respond = async () => {
        most = Math.max(most, ++now);
        await sleep(50);
        now--;
        return 200;
      };
      const batch = target.db.batch();
      for (let i = 0; i < 200; i++) batch.set(provider(`p${i}`), { n: i });
      await batch.commit();
      await target.controls.idle();
      expect(functions.received).toHaveLength(200);
      expect(most).toBe(32);
    });

    test("are tried again when there is no answer, and not when the function failed", async () => {
      let attempts = 0;
      functions.respond = () => (++attempts < 3 ? undefined : 200);
      await write("a1");
      await target.controls.idle();
      expect(new Set(arrived().map(({ eventId }) => eventId)).size).toBe(1);
      expect(attempts).toBe(3);
      functions.respond = () => 500;
      await write("a2");
      await target.controls.idle();
      expect(await target.controls.stats()).toMatchObject({ pending: 0, delivered: 1, failed: 1 });
      expect(functions.received).toHaveLength(4);
    });

    test("drop", async () => {
      await target.controls.setFaults({ drop: 1 });
      await write("a1", "b1");
      await target.controls.clear();
      await write("a2");
      await target.controls.idle();
      expect(whatArrived()).toEqual(["a2"]);
    });

    test("drop by chance is the same for the same seed", async () => {
      const runs = [];
      for (let run = 0; run < 2; run++) {
        functions.received.length = 0;
        await target.controls.setFaults({ drop: 0.5, seed: 7 });
        for (let i = 0; i < 20; i++) await write(`a${run * 100 + i}`);
        await target.controls.idle();
        runs.push(arrived().map(({ what }) => Number(what.slice(1)) - run * 100));
      }
      expect(runs[1]).toEqual(runs[0]);
      expect(runs[0]?.length).toBeGreaterThan(2);
      expect(runs[0]?.length).toBeLessThan(18);
    });

    test("duplicate", async () => {
      await target.controls.setFaults({ duplicate: 1 });
      await write("a1", "a2");
      await target.controls.idle();
      expect(whatArrived()).toEqual(["a1", "a1", "a2", "a2"]);
      const [first, again] = arrived();
      expect(again).toEqual(first);
      expect(await target.controls.stats()).toMatchObject({ delivered: 4, duplicated: 2 });
    });

    test("delay, in order", async () => {
      await target.controls.setFaults({ delayMs: [50, 150], seed: 1 });
      const delaysMs: number[] = [];
      functions.respond = () => {
        delaysMs.push(Date.now() - Date.parse(arrived().at(-1)!.timestamp));
        return 200;
      };
      await write("a1", "a2", "a3");
      await target.controls.idle();
      // A timer may be early by a millisecond, and the event's time is rounded to one.
      expect(Math.min(...delaysMs)).toBeGreaterThanOrEqual(48);
      expect(whatArrived()).toEqual(["a1", "a2", "a3"]);
    });

    test("reorder", async () => {
      await target.controls.setFaults({ reorder: true, delayMs: [0, 200], seed: 3 });
      const whats = Array.from({ length: 10 }, (_none, i) => `a${i}`);
      await write(...whats);
      await target.controls.idle();
      expect(whatArrived()).not.toEqual(whats);
      expect(whatArrived().sort()).toEqual(whats);
    });

    test.each([
      ["commit", ["a1", "b1", "a2", "c1"]],
      ["reverse", ["c1", "a2", "b1", "a1"]],
    ] as const)("hold and release in %s order", async (order, expected) => {
      await target.controls.hold();
      await write("a1", "b1", "a2", "c1");
      await target.controls.idle();
      expect(functions.received).toHaveLength(0);
      expect(await target.controls.stats()).toMatchObject({ pending: 4, held: 4 });
      expect(await target.controls.release(order)).toBe(4);
      await write("a3");
      await target.controls.idle();
      expect(whatArrived()).toEqual([...expected, "a3"]);
    });

    test("release in random order, which the seed settles", async () => {
      const orders = [];
      for (let run = 0; run < 2; run++) {
        functions.received.length = 0;
        await target.controls.setFaults({ seed: 5 });
        await target.controls.hold();
        await write(...["a", "b", "c", "d", "e", "f"].map((id) => `${id}${run}`));
        await target.controls.release("random");
        await target.controls.idle();
        orders.push(arrived().map(({ what }) => what[0]));
      }
      expect(orders[1]).toEqual(orders[0]);
      expect(orders[0]).not.toEqual(["a", "b", "c", "d", "e", "f"]);
    });

    test("clear releases what is held", async () => {
      await target.controls.hold();
      await write("a1");
      await target.controls.clear();
      await target.controls.idle();
      expect(whatArrived()).toEqual(["a1"]);
    });

    test("redeliver old events with their ids and times", async () => {
      await write("a1", "a2", "b1");
      await provider("a").delete();
      await target.controls.idle();
      expect(await target.controls.redeliver("providers/a", { at: 0 })).toBe(1);
      await target.controls.idle();
      expect(await target.controls.redeliver("providers/a")).toBe(1);
      await target.controls.idle();
      expect(await target.controls.redeliver("providers/a", { at: 9 })).toBe(0);
      expect(await target.controls.redeliver("providers/none")).toBe(0);
      expect(await target.controls.redeliver("providers/a", { trigger: "other" })).toBe(0);
      const events = arrived();
      expect(events).toHaveLength(6);
      expect(events[4]).toEqual(events.find(({ what }) => what === "a1"));
      expect(events[5]).toEqual(events.find(({ what }) => what === "a-"));
    });

    test.each([
      [{ drop: 1.5 }, "drop"],
      [{ duplicate: "always" }, "duplicate"],
      [{ delayMs: [5, 1] }, "delayMs"],
      [{ reorder: 3 }, "reorder"],
      [{ seed: 0.5 }, "seed"],
      [{ lose: 1 }, "lose"],
    ])("switches such as %j are refused by name", async (faults, name) => {
      await expect(target.controls.setFaults(faults as DeliveryFaults)).rejects.toThrow(name);
    });

    test("clearing the data tells nobody", async () => {
      await write("a1");
      await target.controls.idle();
      const documents = `emulator/v1/projects/${target.project}/databases/(default)/documents`;
      expect((await fetch(`http://${target.address}/${documents}`, { method: "DELETE" })).ok).toBe(true);
      await target.controls.idle();
      expect((await target.db.collection("providers").get()).empty).toBe(true);
      expect(whatArrived()).toEqual(["a1"]);
    });
  });
}
