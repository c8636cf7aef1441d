import { type DocumentSnapshot, GeoPoint, Timestamp } from "@google-cloud/firestore";
import { firestore as firstGen } from "firebase-functions/v1";
import { onDocumentDeleted, onDocumentWritten } from "firebase-functions/v2/firestore";
import {
  FakeFunctionsEmulator,
  type ReceivedEvent,
  registerFirstGen,
  registerSecondGen,
} from "./fake-functions-emulator.ts";
import { type FirestoreTarget, OFFICIAL_HOST, startTarget, uniqueId } from "./firestore-target.ts";

let target: FirestoreTarget;
let functions: FakeFunctionsEmulator;
beforeAll(async () => {
  target = await startTarget();
  functions = new FakeFunctionsEmulator();
  if (target.server) target.server.functionsEmulator.address = await functions.start();
  process.env["GCLOUD_PROJECT"] = target.project;
  process.env["FIREBASE_CONFIG"] = JSON.stringify({ projectId: target.project });
});
afterAll(async () => {
  await functions.stop();
  await target.stop();
});

/** What a handler was given, in plain words. */
interface Handled {
  id: string;
  timeMicros: number;
  params: Record<string, string>;
  before: DocumentSnapshot;
  after: DocumentSnapshot;
}

/** Runs a real gen-1 function on the event, the way the Functions emulator's runtime does. */
async function handleFirstGen(event: ReceivedEvent, pattern: string): Promise<Handled> {
  const { context, data } = JSON.parse(Buffer.from(event.body, "latin1").toString("utf8")) as {
    context: { resource: { name: string } };
    data: object;
  };
  let handled: Handled | undefined;
  const cloudFunction = firstGen.document(pattern).onWrite((change, { eventId, timestamp, params }) => {
    const { before, after } = change;
    handled = { id: eventId, timeMicros: microsOf(timestamp), params, before, after } as unknown as Handled;
    return null;
  });
  await (cloudFunction as unknown as (data: object, context: object) => Promise<unknown>)(data, {
    ...context,
    resource: context.resource.name,
  });
  if (!handled) throw new Error("The function did not run.");
  return handled;
}

/** Runs a real gen-2 function, likewise. */
async function handleSecondGen(event: ReceivedEvent, pattern: string): Promise<Handled> {
  let handled: Handled | undefined;
  const cloudFunction = onDocumentWritten(pattern, ({ id, time, params, data }) => {
    handled = {
      id,
      timeMicros: microsOf(time),
      params,
      before: data?.before,
      after: data?.after,
    } as unknown as Handled;
  });
  await (cloudFunction as unknown as (event: object) => Promise<unknown>)(cloudEvent(event));
  if (!handled) throw new Error("The function did not run.");
  return handled;
}

function cloudEvent(event: ReceivedEvent): Record<string, unknown> {
  const attributes = Object.entries(event.headers).filter(([name]) => name.startsWith("ce-"));
  return {
    ...Object.fromEntries(attributes.map(([name, value]) => [name.slice("ce-".length), value])),
    data: Buffer.from(event.body, "base64"),
  };
}

function microsOf(time: string): number {
  return Date.parse(`${time.slice(0, 19)}Z`) * 1_000 + Number(time.slice(20, 26));
}

function timestampMicros(time: Timestamp | undefined): number {
  return time ? time.seconds * 1e6 + time.nanoseconds / 1e3 : NaN;
}

/** The events that have arrived for a trigger when all have. */
async function eventsFor(trigger: string): Promise<ReceivedEvent[]> {
  await target.controls.idle();
  return functions.received.filter((event) => event.trigger === trigger);
}

if (OFFICIAL_HOST) {
  test("Google's emulator delivers to the address that it was started with", () => undefined);
} else {
  describe.each([
    ["gen 1", registerFirstGen, handleFirstGen],
    ["gen 2", registerSecondGen, handleSecondGen],
  ])("%s", (_generation, register, handle) => {
    test("functions see what was before and after, when, and of which document", async () => {
      const [trigger, collection] = [uniqueId(), uniqueId()];
      const pattern = `${collection}/{providerId}`;
      await register(target.address, target.project, trigger, pattern);
      const reference = target.db.doc(`${collection}/ada`);
      const created = await reference.set({ aiCallsUsed: 1, map: { a: 1, b: 2 } });
      const updated = await reference.update({ aiCallsUsed: 2, "map.b": 3 });
      await reference.delete();
      await target.db.doc(`${collection}-elsewhere/ada`).set({});
      await target.db.doc(`${collection}/ada/below/one`).set({});

      const events = await eventsFor(trigger);
      const [create, update, remove] = await Promise.all(events.map((event) => handle(event, pattern)));
      expect(events).toHaveLength(3);

      expect(create?.params).toEqual({ providerId: "ada" });
      expect(create?.before.exists).toBe(false);
      expect(create?.after.data()).toEqual({ aiCallsUsed: 1, map: { a: 1, b: 2 } });
      expect(create?.after.updateTime).toEqual(created.writeTime);
      expect(create?.after.createTime).toEqual(created.writeTime);
      expect(create?.timeMicros).toBe(timestampMicros(created.writeTime));

      expect(update?.before.data()).toEqual({ aiCallsUsed: 1, map: { a: 1, b: 2 } });
      expect(update?.before.updateTime).toEqual(created.writeTime);
      expect(update?.after.data()).toEqual({ aiCallsUsed: 2, map: { a: 1, b: 3 } });
      expect(update?.after.updateTime).toEqual(updated.writeTime);
      expect(update?.after.createTime).toEqual(created.writeTime);
      expect(update?.timeMicros).toBe(timestampMicros(updated.writeTime));

      expect(remove?.before.data()).toEqual({ aiCallsUsed: 2, map: { a: 1, b: 3 } });
      expect(remove?.before.updateTime).toEqual(updated.writeTime);
      expect(remove?.after.exists).toBe(false);
      expect(remove?.after.id).toBe("ada");
      expect(remove?.timeMicros).toBeGreaterThan(timestampMicros(updated.writeTime));
      expect(new Set([create?.id, update?.id, remove?.id]).size).toBe(3);
    });

    test("functions get every type of value", async () => {
      const [trigger, collection] = [uniqueId(), uniqueId()];
      await register(target.address, target.project, trigger, `${collection}/{id}`);
      const data = {
        null: null,
        true: true,
        int: 9_007_199_254_740_991,
        double: 0.1,
        minusZero: -0,
        nan: NaN,
        infinity: -Infinity,
        text: "é中\u{1f600}",
        bytes: Buffer.from([0, 255]),
        time: new Timestamp(-5, 123_456_000),
        early: new Timestamp(1_700_000_000, 1_000),
        place: new GeoPoint(1.5, -2),
        list: [1, { x: [] }],
        map: { empty: {} },
      };
      await target.db.doc(`${collection}/one`).set(data);
      const [event] = await eventsFor(trigger);
      const handled = await handle(event as ReceivedEvent, `${collection}/{id}`);
      const received = handled.after.data() ?? {};
      expect(JSON.stringify(received)).toBe(JSON.stringify(sortedLike(received, data)));
      expect(Object.is(received["minusZero"], -0)).toBe(true);
      expect(received["nan"]).toBeNaN();
      expect(received["infinity"]).toBe(-Infinity);
    });

    test("one commit tells of each document once, and of nothing that did not change", async () => {
      const [trigger, collection] = [uniqueId(), uniqueId()];
      await register(target.address, target.project, trigger, `${collection}/{id}`);
      const documents = target.db.collection(collection);
      await documents.doc("same").set({ n: 1 });
      const batch = target.db.batch();
      batch.set(documents.doc("a"), { n: 1 }).update(documents.doc("a"), { n: 2 });
      batch.set(documents.doc("same"), { n: 1 }).delete(documents.doc("none"));
      await batch.commit();
      await target.db
        .batch()
        .set(documents.doc("b"), { n: 1 })
        .create(documents.doc("a"), {})
        .commit()
        .catch(() => undefined);
      const handled = await Promise.all(
        (await eventsFor(trigger)).map((event) => handle(event, `${collection}/{id}`)),
      );
      expect(handled.map(({ params, after }) => [params["id"], after.data()])).toEqual([
        ["same", { n: 1 }],
        ["a", { n: 2 }],
      ]);
    });
  });

  describe("registration", () => {
    test.each([
      ["create", "created"],
      ["update", "updated"],
      ["delete", "deleted"],
    ])("for %s only", async (firstGenKind, secondGenKind) => {
      const [first, second, collection] = [uniqueId(), uniqueId(), uniqueId()];
      await registerFirstGen(target.address, target.project, first, `${collection}/{id}`, firstGenKind);
      await registerSecondGen(target.address, target.project, second, `${collection}/{id}`, secondGenKind);
      const reference = target.db.doc(`${collection}/one`);
      await reference.set({});
      await reference.set({ n: 1 });
      await reference.delete();
      expect(await eventsFor(first)).toHaveLength(1);
      expect(await eventsFor(second)).toHaveLength(1);
    });

    test("by an exact path, by wildcards on several levels, by a path of any depth", async () => {
      const collection = uniqueId();
      const patterns = [`${collection}/exact`, `${collection}/{a}/sub/{b}`, `${collection}/{path=**}`];
      const triggers = patterns.map(() => uniqueId());
      for (const [i, pattern] of patterns.entries()) {
        await registerSecondGen(target.address, target.project, triggers[i] ?? "", pattern);
      }
      await target.db.doc(`${collection}/exact`).set({});
      await target.db.doc(`${collection}/other/sub/one`).set({});
      const counts = await Promise.all(triggers.map(async (trigger) => (await eventsFor(trigger)).length));
      expect(counts).toEqual([1, 1, 2]);
    });

    test("again with the same key replaces", async () => {
      const [trigger, first, second] = [uniqueId(), uniqueId(), uniqueId()];
      await registerFirstGen(target.address, target.project, trigger, `${first}/{id}`);
      await registerFirstGen(target.address, target.project, trigger, `${second}/{id}`);
      await target.db.doc(`${first}/one`).set({});
      expect(await eventsFor(trigger)).toHaveLength(0);
    });

    test("that cannot be understood is refused with a reason", async () => {
      const url = `http://${target.address}/emulator/v1/projects/p/triggers/k`;
      const eventTrigger = {
        eventType: "providers/cloud.firestore/eventTypes/document.read",
        resource: "projects/p/databases/d/documents/a/b",
      };
      const response = await fetch(url, { method: "PUT", body: JSON.stringify({ eventTrigger }) });
      expect(response.status).toBe(400);
      expect(await response.text()).toContain("document.read");
      expect((await fetch(url, { method: "PUT", body: "{" })).status).toBe(400);
    });
  });

  test("gen-2 events carry CloudEvents' and Firestore's attributes", async () => {
    const [trigger, collection] = [uniqueId(), uniqueId()];
    await registerSecondGen(target.address, target.project, trigger, `${collection}/{id}`, "deleted");
    const reference = target.db.doc(`${collection}/one`);
    await reference.set({ n: 1 });
    await reference.delete();
    const [event] = await eventsFor(trigger);
    const attributes = cloudEvent(event as ReceivedEvent);
    expect(attributes).toMatchObject({
      specversion: "1.0",
      type: "google.cloud.firestore.document.v1.deleted",
      source: `//firestore.googleapis.com/projects/${target.project}/databases/(default)`,
      subject: `documents/${collection}/one`,
      project: target.project,
      database: "(default)",
      namespace: "(default)",
      document: `${collection}/one`,
      datacontenttype: "application/protobuf",
    });
    let deleted: unknown;
    const cloudFunction = onDocumentDeleted(`${collection}/{id}`, ({ data }) => {
      deleted = data?.data();
    });
    await (cloudFunction as unknown as (event: object) => Promise<unknown>)(attributes);
    expect(deleted).toEqual({ n: 1 });
  });

  test("ids beyond ASCII are right in gen 1 and in documents, and in gen-2 attributes UTF-8 read as Latin-1", async () => {
    const [first, second, collection] = [uniqueId(), uniqueId(), uniqueId()];
    await registerFirstGen(target.address, target.project, first, `${collection}/{id}`);
    await registerSecondGen(target.address, target.project, second, `${collection}/{id}`);
    await target.db.doc(`${collection}/Électre 中`).set({});
    const [firstGenEvent] = await eventsFor(first);
    const [secondGenEvent] = await eventsFor(second);
    const inFirstGen = await handleFirstGen(firstGenEvent as ReceivedEvent, `${collection}/{id}`);
    expect(inFirstGen.params).toEqual({ id: "Électre 中" });
    const inSecondGen = await handleSecondGen(secondGenEvent as ReceivedEvent, `${collection}/{id}`);
    expect(inSecondGen.after.id).toBe("Électre 中");
    expect(Buffer.from(inSecondGen.params["id"] ?? "", "latin1").toString("utf8")).toBe("Électre 中");
  });

  test("gen-1 updates carry the paths that changed", async () => {
    const [trigger, collection] = [uniqueId(), uniqueId()];
    await registerFirstGen(target.address, target.project, trigger, `${collection}/{id}`, "update");
    const reference = target.db.doc(`${collection}/one`);
    await reference.set({ keep: 1, gone: 1, map: { keep: 1, change: 1 }, "odd name": 1 });
    await reference.set({ keep: 1, new: 1, map: { keep: 1, change: 2 }, "odd name": 2 });
    const [event] = await eventsFor(trigger);
    expect(JSON.parse(event?.body ?? "")).toMatchObject({
      data: { updateMask: { fieldPaths: ["gone", "map.change", "new", "`odd name`"] } },
    });
  });
}

function sortedLike(received: object, data: Record<string, unknown>): object {
  return Object.fromEntries(Object.keys(received).map((name) => [name, data[name]]));
}
