import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";

interface Lock {
  readonly packages: Readonly<Record<string, { readonly version?: string; readonly resolved?: string }>>;
}

const ROOT = path.resolve(__dirname, "../..");
const TSC = path.join(ROOT, "node_modules/typescript/bin/tsc");
const readLock = (file: string) => JSON.parse(readFileSync(file, "utf8")) as Lock;

/** A folder with the packed package in its node_modules; what that depends on is the repository's. */
let consumer: string;
let installed: string;
let files: string[];

const run = (script: string, type: "commonjs" | "module") =>
  execFileSync(process.execPath, [`--input-type=${type}`, "-e", script], {
    cwd: consumer,
    encoding: "utf8",
    env: {},
    timeout: 30_000,
  });

beforeAll(() => {
  const tarball = execFileSync(process.execPath, ["scripts/pack.mjs"], {
    cwd: ROOT,
    encoding: "utf8",
  }).trim();
  files = execFileSync("tar", ["tzf", tarball], { encoding: "utf8" })
    .trim()
    .split("\n")
    .map((file) => file.replace(/^package\//, ""));
  consumer = mkdtempSync(path.join(ROOT, ".tmp/package/consumer-"));
  installed = path.join(consumer, "node_modules/firestore-redis-quota");
  mkdirSync(installed, { recursive: true });
  execFileSync("tar", ["xzf", tarball, "--strip-components=1", "-C", installed]);
  // Of these the repository's other tools have other versions.
  symlinkSync(path.join(ROOT, "functions/node_modules"), path.join(installed, "node_modules"));
}, 120_000);

test("the package holds what is compiled, its types, the tested versions and a README, and nothing else", () => {
  const others = files.filter((file) => !/^dist\/.+\.(js|mjs|d\.ts|d\.mts)$/.test(file));
  expect(others.sort()).toEqual(["LICENSE", "README.md", "npm-shrinkwrap.json", "package.json"]);
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

test("all its doors open, by require and by import, without any setting", () => {
  const deployed =
    "backfillQuotas,checkQuota,checkRateLimit,consumeQuota,getStatus,mirrorQuota,mirrorSession,syncQuotas";
  const required = `console.log(Object.keys(require("firestore-redis-quota")).sort().join(),
    typeof require("firestore-redis-quota/lib").createRedisQuota,
    typeof require("firestore-redis-quota/testing").createTestRedisQuota)`;
  expect(run(required, "commonjs")).toBe(`${deployed} function function\n`);
  const imported = `import * as kit from "firestore-redis-quota";
    import { createRedisQuota, ConfigError } from "firestore-redis-quota/lib";
    import { createTestRedisQuota } from "firestore-redis-quota/testing";
    console.log(typeof kit.checkQuota, typeof createRedisQuota, typeof ConfigError, typeof createTestRedisQuota)`;
  expect(run(imported, "module")).toBe("function function function function\n");
});

test("its command line starts", () => {
  const { bin } = JSON.parse(readFileSync(path.join(installed, "package.json"), "utf8")) as {
    bin: Record<string, string>;
  };
  const help = execFileSync(
    process.execPath,
    [path.join(installed, bin["firestore-redis-quota"]!), "--help"],
    {
      encoding: "utf8",
      env: {},
      timeout: 30_000,
    },
  );
  expect(help).toContain("doctor");
});

test("its types hold for modules of either kind", () => {
  const code = `
    import { onCall, type CallableRequest } from "firebase-functions/v2/https";
    import { createRedisQuota, withQuota, withRateLimit, type Decision } from "firestore-redis-quota/lib";
    import { createTestRedisQuota } from "firestore-redis-quota/testing";
    const { quota, limiter, sessions } = createRedisQuota({ redisHost: "10.0.0.3", mode: "dual-write" });
    const chat = withQuota(async ({ data }: CallableRequest<{ providerId: string }>) => data.providerId, {
      quota,
      providerId: ({ data }) => data.providerId,
    });
    export const aiChat = onCall(withRateLimit(chat, { limiter, policy: "ai-chat" }));
    export const plain = onCall(withRateLimit(async (request) => request.auth?.uid, { limiter, policy: "p" }));
    export const left: Promise<number> = quota.check("p").then(({ remaining }) => remaining);
    export const decision: Promise<Decision> = limiter.enforce("p", "s", { cost: 2 });
    export const data = sessions.get("id").then((session) => session?.data["uid"]);
    export const memory = createTestRedisQuota({ providers: { ada: { aiCallsUsed: 1 } } });
    // @ts-expect-error -- there is no such mode
    createRedisQuota({ mode: "redis" });
    // @ts-expect-error -- there is no such option
    createRedisQuota({ redisHots: "x" });`;
  for (const kind of ["mts", "cts"]) writeFileSync(path.join(consumer, `code.${kind}`), code);
  const compilerOptions = {
    noEmit: true,
    strict: true,
    skipLibCheck: true,
    module: "node16",
    types: ["node"],
  };
  writeFileSync(path.join(consumer, "tsconfig.json"), JSON.stringify({ compilerOptions }));
  expect(spawnSync(process.execPath, [TSC], { cwd: consumer, encoding: "utf8" })).toMatchObject({
    status: 0,
    stdout: "",
  });
}, 60_000);
