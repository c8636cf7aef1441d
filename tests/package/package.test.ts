import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { parseEnv } from "node:util";

import ts from "typescript";

import { PARAM_SPECS, type ParamSpec } from "../../functions/src/config/param-specs";
import { installPacked, packedTarball } from "../harness/packed-package.ts";

interface Lock {
  readonly packages: Readonly<Record<string, { readonly version?: string; readonly resolved?: string }>>;
}

const DEPLOYED =
  "backfillQuotas,checkQuota,checkRateLimit,consumeQuota,getStatus,mirrorQuota,mirrorSession,syncQuotas";

const ROOT = path.resolve(__dirname, "../..");
const readLock = (file: string) => JSON.parse(readFileSync(file, "utf8")) as Lock;

/** An app with the packed package in its node_modules. */
let consumer: string;
let installed: string;
let files: string[];

/** The versions of Node.js that the package is for: of these tests, and that of a kit which the CLI installs. */
const NODE_VERSIONS = ["22", "24"] as const;

const nodes = new Map<string, string>();

function findNode(version: string): string {
  const [running] = process.versions.node.split(".");
  if (running === version) return process.execPath;
  const args = ["--yes", "--package", `node@${version}`, "node", "--print", "process.execPath"];
  return execFileSync("npx", args, { cwd: consumer, encoding: "utf8", timeout: 120_000 }).trim();
}

const run = (node: string, args: readonly string[]) =>
  execFileSync(nodes.get(node)!, args, { cwd: consumer, encoding: "utf8", env: {}, timeout: 30_000 });

const evaluate = (node: string, script: string, type: "commonjs" | "module") =>
  run(node, [`--input-type=${type}`, "-e", script]);

beforeAll(() => {
  files = execFileSync("tar", ["tzf", packedTarball()], { encoding: "utf8" })
    .trim()
    .split("\n")
    .map((file) => file.replace(/^package\//, ""));
  consumer = mkdtempSync(path.join(ROOT, ".tmp/package/consumer-"));
  installed = installPacked(consumer);
}, 300_000);

test("the package holds what is compiled, its types, the tested versions and a README, and nothing else", () => {
  const others = files.filter((file) => !/^dist\/.+\.(js|mjs|d\.ts|d\.mts)$/.test(file));
  expect(others.sort()).toEqual([
    ".env.example",
    "LICENSE",
    "README.md",
    "dist/runtime.js.LICENSES.txt",
    "npm-shrinkwrap.json",
    "package.json",
  ]);
  for (const file of files.filter((each) => each.endsWith(".js")))
    expect(files).toContain(file.replace(/\.js$/, ".d.ts"));
});

test("it installs the versions that were tested, from wherever its user's npm does", () => {
  const packed = readLock(path.join(installed, "npm-shrinkwrap.json")).packages;
  const tested = readLock(path.join(ROOT, "package-lock.json")).packages;
  const paths = Object.keys(packed).filter((each) => each !== "");
  expect(paths).toContain("node_modules/ioredis");
  expect(paths).not.toContain("node_modules/jest");
  for (const each of paths) {
    const { version, resolved } = packed[each]!;
    expect([each, version, resolved]).toEqual([
      each,
      (tested[`functions/${each}`] ?? tested[each])!.version,
      undefined,
    ]);
  }
});

describe.each(NODE_VERSIONS)("with Node.js %s", (node) => {
  beforeAll(() => void nodes.set(node, findNode(node)), 120_000);

  test("all its doors open, by require and by import, without any setting", () => {
    const required = `console.log(Object.keys(require("firestore-redis-quota")).sort().join(),
    typeof require("firestore-redis-quota/lib").createRedisQuota,
    typeof require("firestore-redis-quota/testing").createTestRedisQuota)`;
    expect(evaluate(node, required, "commonjs")).toBe(`${DEPLOYED} function function\n`);
    const imported = `import * as kit from "firestore-redis-quota";
    import { createRedisQuota, ConfigError } from "firestore-redis-quota/lib";
    import { createTestRedisQuota } from "firestore-redis-quota/testing";
    console.log(typeof kit.checkQuota, typeof createRedisQuota, typeof ConfigError, typeof createTestRedisQuota)`;
    expect(evaluate(node, imported, "module")).toBe("function function function function\n");
  });

  test("an instance of a function reads one file with the libraries in it, whose notices are beside it", () => {
    const loaded = `process.env.FUNCTION_TARGET = "checkRateLimit";
      require("firestore-redis-quota");
      console.log(Object.keys(require.cache).join("\\n"));`;
    const modules = evaluate(node, loaded, "commonjs").trim().split("\n");
    const own = modules.flatMap((file) => file.split("/firestore-redis-quota/dist/")[1] ?? []);
    expect(own).toContain("runtime.js");
    expect(own.length).toBeLessThan(10);
    const notices = readFileSync(path.join(installed, "dist/runtime.js.LICENSES.txt"), "utf8");
    for (const library of ["ioredis", "cockatiel", "valibot"]) {
      expect(modules.filter((file) => file.includes(`/node_modules/${library}/`))).toEqual([]);
      expect(notices).toContain(`${library} `);
    }
    expect(notices).toContain("lru-cache ");
    expect(notices.match(/Permission is hereby granted|Apache License|Blue Oak/g)!.length).toBeGreaterThan(
      10,
    );
  });

  test("it decides, also where no Redis answers", () => {
    const decide = `import { createRedisQuota } from "firestore-redis-quota/lib";
      const policy = { name: "p", by: "ip", limits: [{ algorithm: "token-bucket", limit: 1, window: "1 h" }] };
      const redis = { redisHost: "127.0.0.1", redisPort: 1, rateLimitPolicies: [policy] };
      const { limiter, close } = createRedisQuota({ ...redis, log: () => {} });
      const answers = [await limiter.check("p", "10.0.0.1"), await limiter.check("p", "10.0.0.1")];
      console.log(process.version, answers.map(({ allowed, source }) => allowed + " " + source).join());
      close();`;
    expect(evaluate(node, decide, "module")).toMatch(
      new RegExp(`^v${node}\\.\\S+ true local,false local\\n$`),
    );
  });

  test.each(["index-kit", "index-kit-migration"])(
    "the kit's functions are in the CLI's own %s",
    (template) => {
      const file = path.join(
        ROOT,
        `node_modules/firebase-tools/templates/init/functions/typescript/${template}.ts`,
      );
      const wrapper = readFileSync(file, "utf8").replace("{{PACKAGE_NAME}}", "firestore-redis-quota");
      const { outputText } = ts.transpileModule(wrapper, {
        compilerOptions: { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2022 },
      });
      writeFileSync(path.join(consumer, `${template}.cjs`), outputText);
      const listed = evaluate(
        node,
        `console.log(Object.keys(require("./${template}.cjs")).filter((name) => name !== "regionParam").sort().join())`,
        "commonjs",
      );
      expect(listed).toBe(`${DEPLOYED}\n`);
    },
  );

  test("its command line starts", () => {
    const { bin, version } = JSON.parse(readFileSync(path.join(installed, "package.json"), "utf8")) as {
      bin: Record<string, string>;
      version: string;
    };
    const printed = run(node, [path.join(installed, bin["firestore-redis-quota"]!), "--version"]);
    expect(printed).toBe(`${version}\n`);
  });
});

test(".env.example has every param, with its default", () => {
  const values = parseEnv(readFileSync(path.join(installed, ".env.example"), "utf8"));
  expect(values).toEqual(
    Object.fromEntries(
      Object.entries<ParamSpec>(PARAM_SPECS).map(([name, spec]) => [name, spec.default ?? ""]),
    ),
  );
});

test.each(["lib", "testing"])("%s has types for the resolution of older TypeScript settings", (door) => {
  const { resolvedModule } = ts.resolveModuleName(
    `firestore-redis-quota/${door}`,
    path.join(consumer, "old.ts"),
    { moduleResolution: ts.ModuleResolutionKind.Node10 },
    ts.sys,
  );
  expect(resolvedModule?.resolvedFileName).toBe(path.join(installed, `dist/${door}.d.ts`));
});
