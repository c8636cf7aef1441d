import type { Firestore } from "@google-cloud/firestore";
import { deleteApp, getApp, initializeApp } from "firebase-admin/app";
import type { Redis } from "ioredis";

import { backfillTasks } from "../../functions/src/backfill-tasks";
import { Keys } from "../../functions/src/redis/keys";
import { testEmulators } from "../harness/test-emulators.ts";
import { connectFirestore } from "../harness/test-firestore.ts";
import { connectRedis, uniquePrefix } from "../harness/test-redis.ts";
import { waitFor } from "../harness/wait-for.ts";

const { project, redisPort } = testEmulators();
const { form, instanceId, location, ports } = project.address;
const keys = new Keys("frq");
const providers = () => firestore.collection("providers");

let firestore: Firestore;
let redis: Redis;

beforeAll(() => {
  firestore = connectFirestore(project);
  redis = connectRedis(redisPort);
  // What tells firebase-admin in a deployed function which queue is its own, and where the queues are.
  process.env[form === "extension" ? "EXT_INSTANCE_ID" : "FIREBASE_KIT_INSTANCE_ID"] = instanceId;
  process.env["CLOUD_TASKS_EMULATOR_HOST"] = `127.0.0.1:${ports.tasks}`;
  const getAccessToken = () => Promise.resolve({ access_token: "owner", expires_in: 3600 });
  initializeApp({ projectId: project.projectId, credential: { getAccessToken } });
});

afterAll(async () => {
  await deleteApp(getApp());
  redis.disconnect();
  await firestore.terminate();
});

const isInRedis = async (id: string) => (await redis.exists(keys.quota(id))) === 1;

/** Documents that Redis has lost. */
async function lostDocuments(...ids: string[]): Promise<void> {
  for (const id of ids) await providers().doc(id).set({ aiCallsUsed: 3, aiCallsLimit: 10 });
  for (const id of ids) await waitFor(() => isInRedis(id), { what: "the mirror" });
  await redis.unlink(...ids.map((id) => keys.quota(id)));
}

test("a first task, as a lifecycle event enqueues it, brings documents into Redis", async () => {
  const id = uniquePrefix();
  await lostDocuments(id);
  // As Cloud Tasks sends it.
  const response = await fetch(project.functionUrl("backfillQuotas"), {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-CloudTasks-TaskName": "first" },
    body: JSON.stringify({ data: {} }),
  });
  await waitFor(() => isInRedis(id), { what: "the backfill" });
  // An extension then tells the console, which is not emulated: that task fails.
  if (form === "kit") expect(response.status).toBe(204);
});

test("a part that a task enqueues goes on in its own function behind the cursor, once", async () => {
  const prefix = uniquePrefix();
  const ids = ["a", "b", "c"].map((letter) => `${prefix}-${letter}`) as [string, string, string];
  await lostDocuments(...ids);
  const tasks = backfillTasks(location, form === "extension" ? instanceId : undefined);
  const progress = { runId: prefix, cursor: ids[0], documents: 3, mirrored: 1, invalid: 0 };
  await tasks.enqueue(progress, `${prefix}-1`);
  await waitFor(async () => (await isInRedis(ids[1])) && (await isInRedis(ids[2])), { what: "the part" });
  expect(await isInRedis(ids[0])).toBe(false);
  // A part that is run again, because its answer was lost, enqueues again.
  await expect(tasks.enqueue(progress, `${prefix}-1`)).resolves.toBeUndefined();
});
