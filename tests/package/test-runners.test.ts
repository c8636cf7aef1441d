import { spawnSync } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import path from "node:path";

import { installPacked } from "../harness/packed-package.ts";

const ROOT = path.resolve(__dirname, "../..");
const VITEST = path.join(ROOT, "node_modules/vitest/vitest.mjs");
const JEST = path.join(ROOT, "node_modules/jest/bin/jest.js");

/** An app's tests, after the lines that load what they use. */
const TESTS = `
test("a quota is consumed", async () => {
  const { quota, answerFrom } = createTestRedisQuota({
    providers: { ada: { aiCallsUsed: 49, aiCallsLimit: 50 } },
  });
  expect(await quota.check("ada")).toMatchObject({ hasQuota: true, remaining: 1, source: "redis" });
  expect(await quota.consume("ada")).toMatchObject({ allowed: true, remaining: 0 });
  expect(await quota.consume("ada")).toMatchObject({ allowed: false });
  answerFrom("neither");
  await expect(quota.check("ada")).rejects.toThrow("Firestore");
});
test("the runner's environment is no configuration", () => {
  expect(process.env.MODE).toBe("test");
});`;

let app: string;

beforeAll(() => {
  app = mkdtempSync(path.join(ROOT, ".tmp/package/tested-app-"));
  installPacked(app);
  writeFileSync(path.join(app, "package.json"), JSON.stringify({ private: true }));
  const imported = `import { expect, test } from "vitest";
    import { createTestRedisQuota } from "firestore-redis-quota/testing";`;
  writeFileSync(path.join(app, "quota.test.mjs"), imported + TESTS);
  const required = `const { createTestRedisQuota } = require("firestore-redis-quota/testing");`;
  writeFileSync(path.join(app, "quota.test.cjs"), required + TESTS);
  writeFileSync(path.join(app, "vitest.config.mjs"), `export default { test: { include: ["*.test.mjs"] } };`);
  writeFileSync(path.join(app, "jest.config.json"), JSON.stringify({ testMatch: ["<rootDir>/*.test.cjs"] }));
});

test.each([
  ["Vitest", [VITEST, "run"], {}],
  // Jest does not set MODE by itself.
  ["Jest", [JEST], { MODE: "test" }],
])(
  "an app's tests with createTestRedisQuota pass in %s",
  (_name, args, env) => {
    const options = { cwd: app, encoding: "utf8", env: { CI: "true", ...env }, timeout: 100_000 } as const;
    const { status, stdout, stderr } = spawnSync(process.execPath, args, options);
    expect(`${stdout}${stderr}`).toMatch(/2 passed/);
    expect(status).toBe(0);
  },
  120_000,
);
