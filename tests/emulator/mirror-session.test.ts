import {
  Timestamp,
  type CollectionReference,
  type Firestore,
  type WriteResult,
} from "@google-cloud/firestore";
import type { Redis } from "ioredis";

import { DeliveryControls } from "../../emulator/firestore/controls.ts";
import { RedisConnection } from "../../functions/src/redis/connection";
import { Keys } from "../../functions/src/redis/keys";
import { DESTROYED, NOT_STORED, parseStoredSession } from "../../functions/src/session/stored-session";
import { connectPatiently } from "../harness/patience.ts";
import { assembleSessionParts } from "../harness/session-parts.ts";
import { testEmulators } from "../harness/test-emulators.ts";
import { connectFirestore } from "../harness/test-firestore.ts";
import { connectRedis, uniquePrefix } from "../harness/test-redis.ts";
import { waitFor } from "../harness/wait-for.ts";

const { project, redisPort, output } = testEmulators();
const keys = new Keys("frq");
const deliveries = new DeliveryControls(project.firestoreHost, project.projectId);

let firestore: Firestore;
let redis: Redis;
let connection: RedisConnection;
let sessions: CollectionReference;

beforeAll(() => {
  firestore = connectFirestore(project);
  redis = connectRedis(redisPort);
  connection = connectPatiently(redisPort);
  sessions = firestore.collection("redisQuotaSessions");
});

afterEach(async () => {
  await deliveries.clear();
  await deliveries.idle();
});

afterAll(async () => {
  redis.disconnect();
  connection.close();
  await firestore.terminate();
});

const LIFE_MS = 600_000;
const document = (data: object, lifeMs = LIFE_MS) => ({
  data,
  expiresAt: Timestamp.fromMillis(Date.now() + lifeMs),
});
const entryOf = async (id: string) => parseStoredSession(await redis.getBuffer(keys.session(id)));
const versionOf = ({ writeTime }: WriteResult) =>
  writeTime.seconds * 1_000_000 + writeTime.nanoseconds / 1000;
const mirrored = (id: string, version: number) =>
  waitFor(async () => (await entryOf(id))?.version === version, { what: `version ${version} of ${id}` });

test("a document appears in Redis, changes there, and ends there when it is deleted", async () => {
  const id = uniquePrefix();
  const created = versionOf(await sessions.doc(id).set(document({ a: 1 })));
  await mirrored(id, created);
  expect(await entryOf(id)).toMatchObject({ data: { a: 1 } });
  expect(await redis.pttl(keys.session(id))).toBeLessThanOrEqual(LIFE_MS);
  expect(await redis.pttl(keys.session(id))).toBeGreaterThan(LIFE_MS - 20_000);

  const updated = versionOf(await sessions.doc(id).update({ "data.a": 2 }));
  await mirrored(id, updated);
  expect(await entryOf(id)).toMatchObject({ data: { a: 2 } });

  await sessions.doc(id).delete();
  await mirrored(id, updated + 1);
  expect(await entryOf(id)).toMatchObject({ data: undefined, storedUntilMs: NOT_STORED });
});

test("an event that is delivered again after a destroy does not bring the session back", async () => {
  const id = uniquePrefix();
  const { service } = assembleSessionParts({
    firestore,
    redis: connection,
    beside: { collection: sessions, keys },
  });
  await service.set(id, { uid: "u1" });
  await service.set(id, { uid: "u2" });
  await deliveries.idle();
  await service.destroy(id);
  await deliveries.idle();
  expect(await entryOf(id)).toMatchObject({ data: undefined, storedUntilMs: DESTROYED });
  for (const at of [0, 1, 0]) expect(await deliveries.redeliver(`redisQuotaSessions/${id}`, { at })).toBe(1);
  await deliveries.idle();
  expect(await entryOf(id)).toMatchObject({ data: undefined, storedUntilMs: DESTROYED });
  expect(await service.get(id)).toBeUndefined();
});

test("a destroy that Redis was not told of reaches it with the event", async () => {
  const id = uniquePrefix();
  const parts = { firestore, redis: connection, beside: { collection: sessions, keys } };
  const { service } = assembleSessionParts(parts);
  await service.set(id, { uid: "u1" });
  await assembleSessionParts({ ...parts, mode: "firestore" }).service.destroy(id);
  await waitFor(async () => (await service.get(id)) === undefined, { what: "the end of the session" });
});

test("events in reverse, each twice, leave what Firestore holds", async () => {
  const ids = Array.from({ length: 10 }, () => uniquePrefix());
  await deliveries.hold();
  await deliveries.setFaults({ duplicate: 1 });
  const versions = new Map<string, number>();
  for (let i = 0; i < 4; i++) {
    for (const id of ids) versions.set(id, versionOf(await sessions.doc(id).set(document({ i }))));
  }
  await deliveries.release("reverse");
  await deliveries.idle();
  for (const id of ids)
    expect(await entryOf(id)).toMatchObject({ version: versions.get(id), data: { i: 3 } });
});

test("the removal of a document whose time was up leaves what touches have given", async () => {
  const id = uniquePrefix();
  const set = versionOf(await sessions.doc(id).set(document({ a: 1 }, 1500)));
  await mirrored(id, set);
  await redis.pexpire(keys.session(id), LIFE_MS);
  await waitFor(async () => ((await entryOf(id))?.storedUntilMs ?? 0) < Date.now(), { what: "the expiry" });
  await sessions.doc(id).delete();
  await deliveries.idle();
  expect(await entryOf(id)).toMatchObject({ version: set, data: { a: 1 } });
});

test("a document that is not a session is neither cached nor logged", async () => {
  const [own, foreign] = [uniquePrefix(), uniquePrefix()];
  const before = output().length;
  await sessions.doc(foreign).set({ token: "t", expires: Timestamp.now() });
  await sessions.doc(foreign).update({ data: "a string" });
  await mirrored(own, versionOf(await sessions.doc(own).set(document({ a: 1 }))));
  await sessions.doc(foreign).delete();
  await deliveries.idle();
  expect(await entryOf(foreign)).toBeUndefined();
  expect(output().slice(before)).not.toContain("session_document_invalid");
});

test("a document that holds no session ends it, and is logged without its id", async () => {
  const id = uniquePrefix();
  await mirrored(id, versionOf(await sessions.doc(id).set(document({ a: 1 }))));
  const broken = versionOf(await sessions.doc(id).update({ expiresAt: "never" }));
  await mirrored(id, broken);
  expect(await entryOf(id)).toMatchObject({ data: undefined });
  await waitFor(() => output().includes("Expected `expiresAt` to be a timestamp"), { what: "the log entry" });
});
