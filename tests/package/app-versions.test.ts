import { execFile, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";

import { startRedis, type RedisServer } from "../../scripts/redis-server.mjs";
import { startTarget, type FirestoreTarget } from "../emulator-firestore/firestore-target.ts";
import { callFunction } from "../harness/call-function.ts";
import { installPacked } from "../harness/packed-package.ts";
import { uniquePrefix } from "../harness/test-redis.ts";

const ROOT = path.resolve(__dirname, "../..");

/** The versions that an app can have: of firebase-admin, and of firebase-functions. */
const VERSIONS = [
  ["12.7.0", "6.6.0"],
  ["13.10.0", "6.6.0"],
  ["13.10.0", "7.3.2"],
  ["14.5.1", "7.4.0"],
] as const;

const folderOf = (admin: string, functions: string) =>
  path.join(ROOT, ".tmp/apps", `admin-${admin}-functions-${functions}`);

/** Installs what an app depends on. It stays for later runs. */
async function prepareApp(admin: string, functions: string): Promise<void> {
  const app = folderOf(admin, functions);
  if (existsSync(app)) return;
  const unfinished = `${app}.${process.pid}`;
  mkdirSync(unfinished, { recursive: true });
  const dependencies = { "firebase-admin": admin, "firebase-functions": functions };
  writeFileSync(path.join(unfinished, "package.json"), JSON.stringify({ private: true, dependencies }));
  const options = ["--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
  try {
    await promisify(execFile)("npm", ["install", ...options], { cwd: unfinished, timeout: 300_000 });
    renameSync(unfinished, app);
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
}

let redis: RedisServer;
let target: FirestoreTarget;

beforeAll(async () => {
  redis = await startRedis();
  target = await startTarget();
  await Promise.all(VERSIONS.map(([admin, functions]) => prepareApp(admin, functions)));
}, 600_000);

afterAll(async () => {
  await target.stop();
  await redis.stop();
});

describe.each(VERSIONS)("in an app with firebase-admin %s and firebase-functions %s", (admin, functions) => {
  const keyPrefix = uniquePrefix();
  let app: ChildProcess;
  let url: string;

  beforeAll(async () => {
    const folder = folderOf(admin, functions);
    installPacked(folder);
    cpSync(path.join(__dirname, "app/app.mjs"), path.join(folder, "app.mjs"));
    app = spawn(process.execPath, ["app.mjs", String(redis.port), keyPrefix], {
      cwd: folder,
      env: {
        FIRESTORE_EMULATOR_HOST: target.address,
        GCLOUD_PROJECT: target.project,
        METADATA_SERVER_DETECTION: "none",
      },
      stdio: ["ignore", "pipe", "inherit"],
    });
    for await (const line of createInterface({ input: app.stdout! })) {
      const port = /^port (\d+)$/.exec(line)?.[1];
      if (port === undefined) continue;
      url = `http://127.0.0.1:${port}`;
      break;
    }
  }, 300_000);

  afterAll(async () => {
    const ended = once(app, "exit");
    app.kill();
    await ended;
  });

  test("npm brings no other copy of them", () => {
    const installed = path.join(folderOf(admin, functions), "node_modules/firestore-redis-quota");
    const { packages } = JSON.parse(readFileSync(path.join(installed, "npm-shrinkwrap.json"), "utf8")) as {
      packages: object;
    };
    const names = Object.keys(packages).map((folder) => folder.split("node_modules/").at(-1)!);
    expect(names).toContain("ioredis");
    expect(names.filter((name) => /^firebase-|^@google-cloud\/firestore/.test(name))).toEqual([]);
  });

  describe.each(["import", "require"])("that uses %s", (kind) => {
    test("a call over a limit fails as resource-exhausted", async () => {
      await expect(callFunction(`${url}/${kind}/limited`, {})).resolves.toBe("answered");
      await expect(callFunction(`${url}/${kind}/limited`, {})).rejects.toMatchObject({
        status: "RESOURCE_EXHAUSTED",
        details: { allowed: false },
      });
    }, 300_000);

    test("a call over a quota fails as resource-exhausted", async () => {
      const provider = target.db.doc(`${keyPrefix}-${kind}/ada`);
      await provider.set({ aiCallsUsed: 0, aiCallsLimit: 1 });
      const call = () => callFunction(`${url}/${kind}/counted`, { providerId: "ada" });
      await expect(call()).resolves.toBe("answered");
      await expect(call()).rejects.toMatchObject({ status: "RESOURCE_EXHAUSTED", details: { used: 1 } });
      expect((await provider.get()).get("aiCallsUsed")).toBe(1);
    }, 300_000);

    test("a session is written, changed, read and destroyed", async () => {
      const id = `${keyPrefix}-${kind}-session-0123456789`;
      await expect(callFunction(`${url}/${kind}/session`, { id, data: { uid: "ada" } })).resolves.toEqual({
        found: { uid: "ada", visits: 2 },
        afterwards: null,
      });
    }, 300_000);
  });
});
