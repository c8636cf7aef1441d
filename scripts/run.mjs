/**
 * Runs a task of this repository on a fresh clone as on any other: what is missing is installed, built and started
 * first.
 *
 * Usage: node scripts/run.mjs <task> [arguments]
 */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { constants } from "node:os";
import { ensureChromium } from "./chromium.mjs";
import { build, install, isBuilt, isInstalled } from "./prepare.mjs";
import { NODE, ROOT, runInTerminal } from "./processes.mjs";
import { ensureRedisServer } from "./redis-server.mjs";

const tool = (path, ...args) => [join("node_modules", path), ...args];
const ESLINT = tool("eslint/bin/eslint.js");
const JEST = tool("jest/bin/jest.js");
const PRETTIER = tool("prettier/bin/prettier.cjs");
const TSC = tool("typescript/bin/tsc");

/** What each task needs, and the commands that it runs under the repository's Node.js until one fails. */
const TASKS = {
  demo: { built: true, redis: true, browser: takesPictures, commands: (args) => [["demo/run.ts", ...args]] },
  test: { built: true, redis: true, browser: testsThePage, commands: (args) => [[...JEST, ...args]] },
  "test:faults": { built: true, redis: true, commands: (args) => [["tests/faults/run.ts", ...args]] },
  bench: { built: true, redis: true, commands: benchmark },
  lint: {
    built: true,
    commands: () => [
      [...ESLINT, "."],
      [...PRETTIER, "--check", "."],
    ],
  },
  typecheck: {
    built: true,
    commands: () =>
      ["functions", ".", "demo/page", "tests", "tests/browser"].map((project) => [
        ...TSC,
        "--project",
        project,
        "--noEmit",
      ]),
  },
  format: { commands: () => [[...PRETTIER, "--write", "."]] },
  docs: { commands: () => [["scripts/param-tables.mjs"]] },
  build: { built: true, commands: () => [] },
  pack: { built: true, commands: () => [["scripts/pack.mjs"]] },
};

async function main([name, ...args]) {
  const task = TASKS[name];
  if (!task) throw new Error(`Usage: node scripts/run.mjs ${Object.keys(TASKS).join("|")} [arguments]`);
  const commands = task.commands(args);

  if (!(await isInstalled()))
    await step("installing packages with npm ci, which takes a minute or two", install);
  if (task.built && !(await isBuilt())) await step("building functions/", build);
  if (task.redis) await ensureRedisServer(step);
  if (task.browser?.(args)) await ensureChromium(step);
  for (const command of commands) {
    const { code, signal } = await runInTerminal(NODE, command);
    if (signal) return 128 + constants.signals[signal];
    if (code !== 0) return code;
  }
  return 0;
}

function takesPictures(args) {
  return args.some((arg) => arg.startsWith("--screenshots"));
}

/** Whether Jest, with these arguments, comes to the tests that drive a browser. */
function testsThePage(args) {
  if (args.includes("--ignoreProjects")) return !args.includes("browser");
  return !args.includes("--selectProjects") || args.includes("browser");
}

function benchmark([name, ...args]) {
  const names = readdirSync(join(ROOT, "bench"))
    .filter((file) => file.endsWith(".ts"))
    .map((file) => file.slice(0, -".ts".length));
  if (name && existsSync(join(ROOT, "bench", `${name}.ts`))) return [[`bench/${name}.ts`, ...args]];
  throw new Error(`Usage: npm run bench -- <name> [--json]\nBenchmarks: ${names.join(", ")}`);
}

async function step(what, work) {
  const started = Date.now();
  const elapsed = () => `${Math.round((Date.now() - started) / 1_000)} s`;
  log(what);
  const stillAtIt = setInterval(() => log(`  ${elapsed()} ...`), 15_000);
  try {
    await work();
    log(`  done in ${elapsed()}`);
  } finally {
    clearInterval(stillAtIt);
  }
}

// On stderr: what a benchmark prints with --json is to be all that is on stdout.
function log(line) {
  console.error(line);
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  log(error.message);
  process.exitCode = 1;
}
