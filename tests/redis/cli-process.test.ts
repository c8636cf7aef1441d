import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { CallControls } from "../../emulator/firestore/controls.ts";
import { parseServiceConfig } from "../../functions/src/config/config";
import { createServices } from "../../functions/src/services";
import { startRedis, type RedisServer } from "../../scripts/redis-server.mjs";
import { startTarget, uniqueId, type FirestoreTarget } from "../emulator-firestore/firestore-target.ts";
import { recordLogs } from "../harness/recorded-logs.ts";
import { uniquePrefix } from "../harness/test-redis.ts";
import { waitFor } from "../harness/wait-for.ts";

const MAIN = path.join(__dirname, "../../functions/dist/cli/main.js");

/** A few time limits of 10 s on a busy machine; a run that does not end takes for ever. */
const END_MS = 120_000;

/** Every command that uses Redis or Firestore. */
const COMMANDS = [
  ["doctor"],
  ["migrate"],
  ["inspect", "p1"],
  ["reconcile"],
  ["sync"],
  ["rollback"],
  ["backfill"],
  ["backfill", "--dry-run"],
  ["advise", "--sample", "--reads-per-day", "1000"],
];

const AT_ONCE = 3;

let target: FirestoreTarget;
let redis: RedisServer;
let home: string;
let environment: Record<string, string>;

beforeAll(async () => {
  target = await startTarget();
  redis = await startRedis();
  home = mkdtempSync(path.join(tmpdir(), "cli-process-"));
  environment = {
    // No credentials, and none are looked for on the network.
    HOME: home,
    METADATA_SERVER_DETECTION: "none",
    GCLOUD_PROJECT: target.project,
    REDIS_HOST: "127.0.0.1",
    REDIS_PORT: String(redis.port),
    KEY_PREFIX: uniquePrefix(),
    QUOTA_COLLECTION_PATH: uniqueId(),
  };
  await useQuota();
});

afterAll(async () => {
  await redis.stop();
  await target.stop();
  rmSync(home, { recursive: true });
});

/** Leaves usage in Redis that Firestore does not have. */
async function useQuota(): Promise<void> {
  const config = parseServiceConfig({ ...environment, MODE: "redis-primary", REDIS_TIMEOUT_MS: "2000" });
  const { quotaService, close } = createServices(config, () => target.db, recordLogs().logs);
  await target.db.doc(`${environment["QUOTA_COLLECTION_PATH"]}/p1`).set({ aiCallsUsed: 1, aiCallsLimit: 10 });
  await waitFor(async () => (await quotaService.consume("p1")).source === "redis", {
    what: "Redis to count",
  });
  close();
}

function run(args: readonly string[], more: Record<string, string>) {
  const child = spawn(process.execPath, [MAIN, ...args], {
    env: { PATH: process.env["PATH"], ...environment, ...more },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: END_MS,
    killSignal: "SIGKILL",
  });
  let output = "";
  let errors = "";
  child.stdout.on("data", (data: Buffer) => (output += data.toString()));
  child.stderr.on("data", (data: Buffer) => (errors += data.toString()));
  return new Promise<{ command: string; exitCode: number | null; output: string; errors: string }>(
    (resolve) =>
      child.once("close", (exitCode) => resolve({ command: args.join(" "), exitCode, output, errors })),
  );
}

/** Runs all commands, a few at a time: they mostly wait. */
async function runAll(more: Record<string, string>) {
  const results = [];
  for (let i = 0; i < COMMANDS.length; i += AT_ONCE)
    results.push(...(await Promise.all(COMMANDS.slice(i, i + AT_ONCE).map((args) => run(args, more)))));
  return results;
}

/** Expects every command to end by itself, with a result or a sentence and never with a stack trace. */
async function expectAllToFail(more: Record<string, string>, said: RegExp) {
  for (const { command, exitCode, output, errors } of await runAll(more)) {
    expect({ command, exitCode }).toEqual({ command, exitCode: 1 });
    expect(`${command}: ${errors}`).not.toMatch(/^\s+at |node:internal|already been terminated/m);
    expect(`${command}: ${output}${errors}`).toMatch(said);
  }
}

test(
  "without credentials every command says how to get them, and ends",
  () => expectAllToFail({}, /gcloud auth application-default login/),
  COMMANDS.length * END_MS,
);

test.each([
  [
    "NOT_FOUND",
    "The database (default) does not exist for project p Please visit the console to add one.",
    // The client library repeats the call for about 7 s first, so a busy machine can reach the time limit.
    /does not exist .*Create the Firestore database, or correct DATABASE|no answer within 10000 ms/,
  ],
  ["PERMISSION_DENIED", "Missing or insufficient permissions.", /Grant the role datastore\.user/],
] as const)(
  "where Firestore replies %s every command says what to do, and ends",
  async (status, message, remedy) => {
    const calls = new CallControls(target.address);
    await calls.set({ status, message });
    try {
      await expectAllToFail({ FIRESTORE_EMULATOR_HOST: target.address }, remedy);
    } finally {
      await calls.clear();
    }
  },
  COMMANDS.length * END_MS,
);

test(
  "where Redis is dead every command that needs it says so, and ends",
  async () => {
    const more = { FIRESTORE_EMULATOR_HOST: target.address, REDIS_PORT: "1" };
    for (const { command, exitCode, output, errors } of await runAll(more)) {
      const needsRedis = command !== "backfill --dry-run" && !command.startsWith("advise");
      expect({ command, exitCode }).toEqual({ command, exitCode: needsRedis ? 1 : 0 });
      expect(`${command}: ${errors}`).not.toMatch(/^\s+at |node:internal/m);
      if (needsRedis)
        expect(`${command}: ${output}${errors}`).toMatch(/Redis at 127\.0\.0\.1:1 .*ECONNREFUSED/);
    }
  },
  COMMANDS.length * END_MS,
);
