import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import type { CallFaults } from "../../emulator/firestore/call-faults.ts";
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

/** Every command that uses Redis or Firestore, and whether it can do without Redis. */
const COMMANDS: readonly { readonly args: string; readonly needsRedis: boolean }[] = [
  { args: "doctor", needsRedis: true },
  { args: "migrate", needsRedis: true },
  { args: "inspect p1", needsRedis: true },
  { args: "reconcile", needsRedis: true },
  { args: "sync", needsRedis: true },
  { args: "rollback", needsRedis: true },
  { args: "backfill", needsRedis: true },
  { args: "backfill --dry-run", needsRedis: false },
  { args: "advise --sample --reads-per-day 1000", needsRedis: false },
  { args: "policies validate", needsRedis: false },
  { args: "policies explain", needsRedis: false },
];

/** As many as start while others wait. */
const AT_ONCE = 4;

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
    RATE_LIMIT_POLICIES:
      '[{"name":"ai-chat","by":"subject","limits":[{"algorithm":"fixed-window","limit":3,"window":"1 h"}]}]',
    RATE_LIMIT_POLICY_COLLECTION: uniqueId(),
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

function run(args: string, more: Record<string, string>) {
  const child = spawn(process.execPath, [MAIN, ...args.split(" ")], {
    env: { PATH: process.env["PATH"], ...environment, ...more },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: END_MS,
    killSignal: "SIGKILL",
  });
  let output = "";
  let errors = "";
  child.stdout.on("data", (data: Buffer) => (output += data.toString()));
  child.stderr.on("data", (data: Buffer) => (errors += data.toString()));
  return new Promise<{ exitCode: number | null; output: string; errors: string }>((resolve) =>
    child.once("close", (exitCode) => resolve({ exitCode, output, errors })),
  );
}

/** Runs commands, a few at a time: they mostly wait. None may end with a stack trace. */
async function runAll(commands: readonly string[], more: Record<string, string>) {
  const waiting = [...commands];
  const results: { command: string; exitCode: number | null; said: string }[] = [];
  const runSome = async () => {
    for (let command = waiting.shift(); command !== undefined; command = waiting.shift()) {
      const { exitCode, output, errors } = await run(command, more);
      expect(`${command}: ${errors}`).not.toMatch(/^\s+at |node:internal|already been terminated/m);
      results.push({ command, exitCode, said: `${command}: ${output}${errors}` });
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, runSome));
  return results;
}

const ALL = COMMANDS.map(({ args }) => args);

/** Expects every command to end by itself, with a sentence. */
async function expectToFail(commands: readonly string[], more: Record<string, string>, sentence: RegExp) {
  for (const { command, exitCode, said } of await runAll(commands, more)) {
    expect({ command, exitCode }).toEqual({ command, exitCode: 1 });
    expect(said).toMatch(sentence);
  }
}

async function whereFirestoreReplies(status: CallFaults, work: () => Promise<void>) {
  const calls = new CallControls(target.address);
  await calls.set(status);
  try {
    await work();
  } finally {
    await calls.clear();
  }
}

test(
  "without credentials every command says how to get them, and ends",
  () => expectToFail(ALL, {}, /gcloud auth application-default login/),
  ALL.length * END_MS,
);

test(
  "where Firestore denies permission every command says which role to grant, and ends",
  () =>
    whereFirestoreReplies(
      { status: "PERMISSION_DENIED", message: "Missing or insufficient permissions." },
      () => expectToFail(ALL, { FIRESTORE_EMULATOR_HOST: target.address }, /Grant the role datastore\.user/),
    ),
  ALL.length * END_MS,
);

test(
  "where the database does not exist every command says so, and ends",
  () =>
    whereFirestoreReplies(
      {
        status: "NOT_FOUND",
        message: "The database (default) does not exist for project p Please visit the console to add one.",
      },
      () =>
        expectToFail(
          ALL,
          { FIRESTORE_EMULATOR_HOST: target.address },
          /does not exist .*Create the Firestore database, or correct DATABASE/,
        ),
    ),
  ALL.length * END_MS,
);

test(
  "where Redis is dead every command that needs it says so, and ends",
  async () => {
    const more = { FIRESTORE_EMULATOR_HOST: target.address, REDIS_PORT: "1" };
    for (const { command, exitCode, said } of await runAll(ALL, more)) {
      const { needsRedis } = COMMANDS.find(({ args }) => args === command)!;
      expect({ command, exitCode }).toEqual({ command, exitCode: needsRedis ? 1 : 0 });
      if (needsRedis) expect(said).toMatch(/Redis at 127\.0\.0\.1:1 .*ECONNREFUSED/);
    }
  },
  ALL.length * END_MS,
);

test(
  "where nothing answers, `policies try` decides as the functions would, warns, and ends",
  async () => {
    const [result] = await runAll(["policies try ai-chat alice"], { REDIS_PORT: "1" });
    expect(result).toMatchObject({ exitCode: 0 });
    expect(result!.said).toMatch(/source +local/);
    expect(result!.said).toMatch(/WARNING rate_limit_fallback: .*ECONNREFUSED/);
    expect(result!.said).toMatch(/WARNING policy_documents_unavailable/);
  },
  END_MS,
);
