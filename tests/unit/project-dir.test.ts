import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { type Form, LISTENERS, type Ports } from "../../emulator/emulated-project.ts";
import { writeProjectDir } from "../../emulator/project-dir.ts";

// eslint-disable-next-line @typescript-eslint/no-require-imports -- the CLI's own parser, which has no types
const { parseStrict } = require("firebase-tools/lib/functions/env") as {
  parseStrict(text: string): Record<string, string>;
};

const ports = Object.fromEntries(LISTENERS.map((name, index) => [name, 20_000 + index])) as Ports;
const dirs: string[] = [];

async function write(params: Record<string, string>, form: Form = "extension"): Promise<string> {
  const dir = await writeProjectDir({ form, instanceId: "quota", path: "/extension", params }, ports);
  dirs.push(dir);
  return dir;
}

afterAll(() => Promise.all(dirs.map((dir) => rm(dir, { recursive: true }))));

test("the CLI reads the params as they were given", async () => {
  const params = {
    PLAIN: "redis-primary",
    EMPTY: "",
    JSON: '[{"name":"ai-chat","limits":[{"limit":10}]}]',
    AWKWARD: `it's # 50% "quoted"\\ \n\ttwo lines`,
  };
  const dir = await write(params);
  expect(parseStrict(await readFile(join(dir, "extensions", "quota.env"), "utf8"))).toEqual(params);
});

test("the project has the extension, and all emulators on ports of their own", async () => {
  const dir = await write({});
  expect(JSON.parse(await readFile(join(dir, "firebase.json"), "utf8"))).toMatchObject({
    extensions: { quota: "/extension" },
    emulators: {
      functions: { host: "127.0.0.1", port: ports.functions },
      firestore: { port: ports.firestore, websocketPort: ports.firestoreWebsocket },
      hub: { port: ports.hub },
      ui: { enabled: false },
    },
  });
});

test("a project of the kit has its functions and the folder of its params, both by relative paths", async () => {
  const dir = await write({ PLAIN: "redis-primary" }, "kit");
  const { functions } = JSON.parse(await readFile(join(dir, "firebase.json"), "utf8")) as {
    functions: { source: string; instances: Record<string, string> }[];
  };
  expect(functions).toEqual([
    { kit: "emulated", source: expect.any(String), instances: { quota: "config-quota" } },
  ]);
  expect(join(dir, functions[0]!.source)).toBe("/extension/functions");
  expect(parseStrict(await readFile(join(dir, "config-quota", ".env"), "utf8"))).toEqual({
    PLAIN: "redis-primary",
  });
});
