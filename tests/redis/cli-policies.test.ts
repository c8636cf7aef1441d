import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import type { ParamValues } from "../../functions/src/config/param-specs";
import {
  connect,
  startTarget,
  uniqueId,
  type FirestoreTarget,
} from "../emulator-firestore/firestore-target.ts";
import { runCommand } from "../harness/run-cli.ts";
import { testRedisPort, uniquePrefix } from "../harness/test-redis.ts";

const perMinute = (limit: number) => ({
  by: "uid",
  limits: [{ algorithm: "sliding-window", limit, window: "1 m" }],
});

const CONFIGURED = JSON.stringify([
  { name: "ai-chat", ...perMinute(10) },
  { name: "search", ...perMinute(30) },
]);

let target: FirestoreTarget;

beforeAll(async () => {
  target = await startTarget();
});

afterAll(() => target.stop());

const run = (args: readonly string[], environment: ParamValues) =>
  runCommand(["policies", ...args], {
    environment,
    firestore: () => connect(target.address, target.project),
  });

/** A collection with these documents, by id. */
async function collectionOf(documents: Readonly<Record<string, object>>): Promise<string> {
  const collection = uniqueId();
  await Promise.all(
    Object.entries(documents).map(([id, fields]) => target.db.doc(`${collection}/${id}`).set(fields)),
  );
  return collection;
}

test("without a collection, policies are those of the configuration, and Firestore is not asked", async () => {
  const environment = { RATE_LIMIT_POLICIES: CONFIGURED };
  expect(await runCommand(["policies", "explain"], { environment })).toMatchObject({
    exitCode: 0,
    output:
      "ai-chat  RATE_LIMIT_POLICIES  each uid: 10 per 60 s (sliding-window); without Redis: local\n" +
      "search   RATE_LIMIT_POLICIES  each uid: 30 per 60 s (sliding-window); without Redis: local\n",
  });
  expect(await runCommand(["policies", "validate"], { environment })).toMatchObject({
    exitCode: 0,
    output: "2 valid policies: ai-chat (RATE_LIMIT_POLICIES), search (RATE_LIMIT_POLICIES).\n",
  });
  const bad = await runCommand(["policies", "validate"], {
    environment: { RATE_LIMIT_POLICIES: '[{"name":1}]' },
  });
  expect(bad.exitCode).toBe(1);
  expect(bad.output).toContain("RATE_LIMIT_POLICIES: Expected `policies[0].name` to be a name");
  expect(bad.output).toMatch(/\n0 valid policies\.\n$/);
});

test("a file is read alone", async () => {
  const folder = mkdtempSync(path.join(tmpdir(), "policies-"));
  try {
    const file = path.join(folder, "policies.json");
    writeFileSync(file, JSON.stringify([{ name: "upload", ...perMinute(1) }]));
    const environment = { RATE_LIMIT_POLICIES: "no JSON", RATE_LIMIT_POLICY_COLLECTION: "policies" };
    expect(await runCommand(["policies", "validate", file], { environment })).toMatchObject({
      exitCode: 0,
      output: `1 valid policy: upload (${file}).\n`,
    });
    writeFileSync(file, `\uFEFF${JSON.stringify([{ name: "upload", ...perMinute(1) }])}`);
    expect(await runCommand(["policies", "validate", file])).toMatchObject({ exitCode: 0 });
    writeFileSync(file, Buffer.from("\uFEFF[]", "utf16le"));
    expect(await runCommand(["policies", "validate", file])).toMatchObject({
      exitCode: 2,
      errors: `Expected \`file\` to be UTF-8 text; got UTF-16 or binary data in "${file}".\n`,
    });
    const missing = path.join(folder, "none.json");
    expect(await runCommand(["policies", "explain", missing])).toMatchObject({
      exitCode: 2,
      errors: `Expected \`file\` to be a file that can be read; got "${missing}", which does not exist.\n`,
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("documents come before the configured policies of their names, and each policy says where it is from", async () => {
  const collection = await collectionOf({ "ai-chat": perMinute(5), upload: perMinute(2) });
  const environment = {
    RATE_LIMIT_POLICIES: CONFIGURED,
    RATE_LIMIT_POLICY_COLLECTION: collection,
    REDIS_HOST: "127.0.0.1",
    REDIS_PORT: String(testRedisPort()),
    REDIS_TIMEOUT_MS: "2000",
    KEY_PREFIX: uniquePrefix(),
  };
  const { exitCode, output } = await run(["explain"], environment);
  expect(exitCode).toBe(0);
  expect(output.split("\n").map((line) => line.split(/ {2,}/))).toEqual([
    ["ai-chat", "RATE_LIMIT_POLICIES", "not in force: a document has this name"],
    ["search", "RATE_LIMIT_POLICIES", "each uid: 30 per 60 s (sliding-window); without Redis: local"],
    ["ai-chat", `${collection}/ai-chat`, "each uid: 5 per 60 s (sliding-window); without Redis: local"],
    ["upload", `${collection}/upload`, "each uid: 2 per 60 s (sliding-window); without Redis: local"],
    [""],
  ]);
  expect(await run(["validate"], environment)).toMatchObject({
    exitCode: 0,
    output:
      "4 valid policies: ai-chat (RATE_LIMIT_POLICIES, not in force), search (RATE_LIMIT_POLICIES), " +
      `ai-chat (${collection}/ai-chat), upload (${collection}/upload).\n`,
  });
  // What is explained is what decides.
  expect((await run(["try", "ai-chat", "ada"], environment)).output).toMatch(/limit +5\n/);
});

test("invalid documents are listed with what is wrong, and leave the configured policy in force", async () => {
  const collection = await collectionOf({
    "ai-chat": { ...perMinute(-1), limit: 3 },
    upload: perMinute(2),
  });
  const environment = { RATE_LIMIT_POLICIES: CONFIGURED, RATE_LIMIT_POLICY_COLLECTION: collection };
  const validated = await run(["validate"], environment);
  expect(validated.exitCode).toBe(1);
  expect(validated.output.split("\n")).toEqual([
    `${collection}/ai-chat: Expected \`limits[0].limit\` to be a whole number, 0 or more; got -1.`,
    expect.stringMatching(`^${collection}/ai-chat: .*unknown field "limit"`),
    `3 valid policies: ai-chat (RATE_LIMIT_POLICIES), search (RATE_LIMIT_POLICIES), upload (${collection}/upload).`,
    "",
  ]);
  const explained = await run(["--json", "explain"], environment);
  expect(explained.exitCode).toBe(1);
  expect(JSON.parse(explained.output)).toMatchObject({
    policies: [
      { name: "ai-chat", origin: "RATE_LIMIT_POLICIES", inForce: true },
      { name: "search", origin: "RATE_LIMIT_POLICIES", inForce: true },
      { name: "upload", origin: `${collection}/upload`, inForce: true },
    ],
    problems: [
      { origin: `${collection}/ai-chat`, problem: expect.stringContaining("got -1") as unknown },
      { origin: `${collection}/ai-chat`, problem: expect.stringContaining('"limit"') as unknown },
    ],
  });
  expect((await run(["explain"], environment)).output).toMatch(
    /\nINVALID +\S+\/ai-chat +Expected `limits\[0\]\.limit` to be/,
  );
});

test("invalid documents and an invalid configuration are told of together; a bad path is a usage error", async () => {
  const collection = await collectionOf({ "ai-chat": { by: "nobody" } });
  const { exitCode, output } = await run(["validate"], {
    RATE_LIMIT_POLICIES: '[{"name":1}]',
    RATE_LIMIT_POLICY_COLLECTION: collection,
  });
  expect(exitCode).toBe(1);
  expect(output).toContain("RATE_LIMIT_POLICIES: Expected `policies[0].name` to be a name");
  expect(output).toContain(
    `${collection}/ai-chat: Expected \`by\` to be uid, ip, app, subject or global; got "nobody".`,
  );
  const bad = await run(["explain"], { RATE_LIMIT_POLICY_COLLECTION: "a/b" });
  expect(bad).toMatchObject({
    exitCode: 2,
    errors: expect.stringMatching(
      /Expected `RATE_LIMIT_POLICY_COLLECTION` to be .*; got "a\/b"\./,
    ) as unknown,
  });
});
