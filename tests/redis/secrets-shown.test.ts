import { randomBytes } from "node:crypto";
import { inspect } from "node:util";

import type { CallableRequest } from "firebase-functions/v2/https";

import { ConfigError, parseConfig } from "../../functions/src/config/config";
import type { ParamValues } from "../../functions/src/config/param-specs";
import { getStatus } from "../../functions/src/handlers/get-status";
import { createLogs } from "../../functions/src/observability/logs";
import { secretReader } from "../../functions/src/redis/secret-manager";
import { createServices } from "../../functions/src/services";
import { startRedis, type RedisServer } from "../../scripts/redis-server.mjs";
import {
  connect,
  startTarget,
  uniqueId,
  type FirestoreTarget,
} from "../emulator-firestore/firestore-target.ts";
import { recordLogs } from "../harness/recorded-logs.ts";
import { runCommand } from "../harness/run-cli.ts";
import { startSecretManager, type SecretManagerServer } from "../harness/secret-manager-server.ts";
import { uniquePrefix } from "../harness/test-redis.ts";

/** Letters and digits only: no way of quoting a text can hide them. */
const newPassword = () => `pw${randomBytes(18).toString("hex")}`;
const RIGHT = newPassword();
const WRONG = newPassword();
const PROVIDER = "ada";
const COLLECTION = uniqueId();
const SECRETS = { right: "projects/p/secrets/right", wrong: "projects/p/secrets/wrong" };

let target: FirestoreTarget;
let server: RedisServer;
let secretManager: SecretManagerServer;
const printed: string[] = [];
const spies: jest.SpyInstance[] = [];

beforeAll(async () => {
  target = await startTarget();
  server = await startRedis({ args: ["--requirepass", RIGHT] });
  secretManager = await startSecretManager();
  secretManager.add(SECRETS.right, `${RIGHT}\n`);
  secretManager.add(SECRETS.wrong, WRONG);
  // What a process pays once for loading Google's library is not to count in a time limit.
  await secretReader(secretManager.host)([
    { param: "REDIS_AUTH_SECRET", version: `${SECRETS.right}/versions/1` },
  ]);
  await target.db.collection(COLLECTION).doc(PROVIDER).set({ aiCallsUsed: 1, aiCallsLimit: 10 });
});

afterAll(async () => {
  await secretManager.stop();
  await server.stop();
  await target.stop();
});

beforeEach(() => {
  for (const method of ["log", "info", "warn", "error", "debug"] as const)
    spies.push(
      jest.spyOn(console, method).mockImplementation((...args) => void printed.push(shownInFull(args))),
    );
  for (const stream of [process.stdout, process.stderr])
    spies.push(jest.spyOn(stream, "write").mockImplementation((text) => !!printed.push(String(text))));
});

afterEach(() => {
  for (const spy of spies.splice(0)) spy.mockRestore();
  printed.length = 0;
});

const shownInFull = (value: unknown) => inspect(value, { depth: null, showHidden: true });

function installation(more: ParamValues): ParamValues {
  return {
    REDIS_HOST: "127.0.0.1",
    REDIS_PORT: String(server.port),
    REDIS_TIMEOUT_MS: "2000",
    KEY_PREFIX: uniquePrefix(),
    QUOTA_COLLECTION_PATH: COLLECTION,
    MODE: "redis-primary",
    VPC_CONNECTOR: "projects/p/locations/europe-west1/connectors/functions-connector",
    ...more,
  };
}

/** The status as an administrator gets it and what is logged meanwhile, or the error that the params are. */
async function askStatus(environment: ParamValues): Promise<unknown> {
  const { logs, entries } = recordLogs();
  const call = {
    auth: { uid: "operator", token: { admin: true } },
    data: null,
  } as unknown as CallableRequest;
  try {
    const config = parseConfig(environment);
    const { close, ...services } = createServices(config, () => target.db, logs, secretManager.host);
    try {
      return { status: await getStatus(call, () => ({ config, ...services })), entries };
    } finally {
      close();
    }
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    createLogs((entry) => void entries.push(entry)).configInvalid(error.problems);
    return { error, message: error.message, entries };
  }
}

/** Every command that asks Redis, in both ways of writing. */
const COMMANDS = [
  ["doctor"],
  ["migrate"],
  ["backfill"],
  ["inspect", PROVIDER],
  ["sync"],
  ["reconcile"],
  ["rollback"],
].flatMap((command) => [command, ["--json", ...command]]);

/** All that anybody sees: the status and its logs first, then what each command has written, then what was printed. */
async function allShown(environment: ParamValues): Promise<string> {
  const shown = [shownInFull(await askStatus(environment))];
  for (const command of COMMANDS) {
    const { output, errors } = await runCommand(command, {
      environment,
      firestore: () => connect(target.address, target.project),
      secretManagerHost: secretManager.host,
    });
    expect(output + errors).not.toBe("");
    shown.push(`${command.join(" ")}\n${output}${errors}`);
  }
  return [...shown, ...printed].join("\n");
}

test("no status, log, error or command shows the password that opens Redis", async () => {
  const all = await allShown(installation({ REDIS_AUTH_SECRET: SECRETS.right }));
  // It was read and used.
  expect(all).toContain("reachable: true");
  expect(all).toContain("REDIS_AUTH_SECRET can be read");
  expect(all).toMatch(/PASS {2}Redis +answers at/);
  expect(all).not.toContain(RIGHT);
}, 60_000);

test("nor one that Redis refuses", async () => {
  const all = await allShown(installation({ REDIS_AUTH_SECRET: SECRETS.wrong }));
  expect(all).toMatch(/reachable: false,\s+error:\s+'[^\n]*WRONGPASS/);
  expect(all).toContain("redis_unreachable");
  expect(all).toMatch(/FAIL {2}Redis +[^\n]*WRONGPASS/);
  expect(all).not.toContain(WRONG);
  expect(all).not.toContain(RIGHT);
}, 60_000);

test.each([
  ["in the secret of another param", { REDIS_PORT: SECRETS.right }, "does not hold a port number"],
  [
    "in the param that is to name its secret",
    { REDIS_AUTH_SECRET: RIGHT },
    "Expected `REDIS_AUTH_SECRET` to be",
  ],
])(
  "nor one that is %s",
  async (_, params, expected) => {
    const all = await allShown(installation(params));
    expect(all).toContain(expected);
    expect(all).not.toContain(RIGHT);
  },
  60_000,
);
