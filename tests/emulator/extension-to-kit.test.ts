import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import type { Firestore } from "@google-cloud/firestore";

import { EmulatedProject } from "../../emulator/emulated-project.ts";
import { startFirebaseEmulators, type FirebaseEmulators } from "../../emulator/start.ts";
import { Keys } from "../../functions/src/redis/keys";
import { startRedis, type RedisServer } from "../../scripts/redis-server.mjs";
import { callFunction } from "../harness/call-function.ts";
import { signIn } from "../harness/sign-in.ts";
import { storedQuota } from "../harness/stored-quota.ts";
import { connectFirestore } from "../harness/test-firestore.ts";
import { connectRedis } from "../harness/test-redis.ts";
import { waitFor } from "../harness/wait-for.ts";

/* The CLI's own code, which has no types. */
/* eslint-disable @typescript-eslint/no-require-imports */
const { Config } = require("firebase-tools/lib/config") as {
  Config: new (src: object, options: object) => object;
};
const { writeToManifest } = require("firebase-tools/lib/extensions/manifest") as {
  writeToManifest(specs: object[], config: object, options: object, allowOverwrite: boolean): Promise<void>;
};
/* eslint-enable @typescript-eslint/no-require-imports */

const ROOT = path.resolve(__dirname, "../..");
const INSTANCE_ID = "firestore-redis-quota";
const keys = new Keys("frq");

let redisServer: RedisServer;
let extension: FirebaseEmulators;
let kit: EmulatedProject;
let firestore: Firestore;

/** The params of an installed extension as `firebase ext:export` writes them. */
async function exportParams(params: Record<string, string>): Promise<string> {
  const projectDir = mkdtempSync(path.join(tmpdir(), "frq-export-"));
  const values = Object.entries(params).map(([name, baseValue]) => [name, { baseValue }]);
  const spec = { instanceId: INSTANCE_ID, localPath: ROOT, params: Object.fromEntries(values) as object };
  const config = new Config({ extensions: {} }, { projectDir, cwd: projectDir });
  await writeToManifest([spec], config, { nonInteractive: true, force: true }, true);
  const text = readFileSync(path.join(projectDir, "extensions", `${INSTANCE_ID}.env`), "utf8");
  rmSync(projectDir, { recursive: true });
  return text;
}

beforeAll(async () => {
  redisServer = await startRedis();
  const limits = [{ algorithm: "fixed-window", limit: 5, window: "366 d" }];
  const params = {
    LOCATION: "europe-west1",
    REDIS_HOST: "127.0.0.1",
    REDIS_PORT: String(redisServer.port),
    VPC_CONNECTOR: "projects/demo-migration/locations/europe-west1/connectors/c",
    MODE: "redis-primary",
    REDIS_TIMEOUT_MS: "2000",
    RATE_LIMIT_POLICIES: JSON.stringify([{ name: "shared", by: "uid", limits }]),
    RATE_LIMIT_POLICY_COLLECTION: "",
  };
  extension = await startFirebaseEmulators({
    projectId: "demo-migration",
    redisPort: redisServer.port,
    params,
    codebase: {
      path: path.join(ROOT, "functions"),
      env: await exportParams(params),
      kitInstanceId: INSTANCE_ID,
    },
  });
  kit = new EmulatedProject({ ...extension.address, form: "kit" });
  firestore = connectFirestore(extension);
}, 300_000);

afterAll(async () => {
  await firestore.terminate();
  await extension.stop();
  await redisServer.stop();
});

const both = () => [extension, kit];
const provider = (id: string) => firestore.collection("providers").doc(id);

// The emulator starts a process, which takes 2 s of CPU time, for each call that comes while the others are busy.
test("with the extension and the kit side by side, each call counts once and each change arrives", async () => {
  const id = "p1";
  await provider(id).set({ aiCallsUsed: 0, aiCallsLimit: 7 });
  const idToken = await signIn(extension, { uid: id });
  const consume = (project: EmulatedProject) =>
    callFunction(project.functionUrl("consumeQuota"), { providerId: id }, { idToken }) as Promise<{
      allowed: boolean;
      source: string;
    }>;
  const answers = await Promise.all(
    both().flatMap((project) => Array.from({ length: 5 }, () => consume(project))),
  );
  expect(answers.filter(({ allowed }) => allowed)).toHaveLength(7);
  expect(new Set(answers.map(({ source }) => source))).toEqual(new Set(["redis"]));

  await Promise.all(both().map((project) => project.runSchedule("syncQuotas")));
  const redis = connectRedis(redisServer.port);
  await waitFor(async () => (await redis.exists(keys.dirty(id))) === 0, { what: "the syncs" });
  expect((await provider(id).get()).get("aiCallsUsed")).toBe(7);

  for (let limit = 8; limit <= 27; limit++) await provider(id).update({ aiCallsLimit: limit });
  await waitFor(async () => (await storedQuota(redis, keys.quota(id)))?.limit === 27, {
    what: "the last change",
  });
  for (const project of both())
    expect(await consume(project)).toMatchObject({ allowed: true, limit: 27, source: "redis" });
  await Promise.all(both().map((project) => project.runSchedule("syncQuotas")));
  await waitFor(async () => (await redis.exists(keys.dirty(id))) === 0, { what: "the syncs" });
  expect((await provider(id).get()).get("aiCallsUsed")).toBe(9);
  redis.disconnect();
}, 300_000);

test("they share the counts of rate limits", async () => {
  const idToken = await signIn(extension, { uid: "u1" });
  const decisions = (await Promise.all(
    both().flatMap((project) =>
      Array.from({ length: 4 }, () =>
        callFunction(project.functionUrl("checkRateLimit"), { policy: "shared" }, { idToken }),
      ),
    ),
  )) as { allowed: boolean }[];
  expect(decisions.filter(({ allowed }) => allowed)).toHaveLength(5);
}, 300_000);
