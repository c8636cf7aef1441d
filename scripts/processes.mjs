import { spawn } from "node:child_process";
import { basename, delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The repository. */
export const ROOT = fileURLToPath(new URL("..", import.meta.url));
const BIN = join(ROOT, "node_modules", ".bin");

/** The Node.js that runs the code of this repository, whichever one runs this script. */
export const NODE = join(BIN, "node");

/** Where Node.js keeps compiled code: the tests and the demo start hundreds of processes that load the same files. */
const COMPILE_CACHE = join(ROOT, ".tmp", "compile-cache");

const env = () => ({
  ...process.env,
  NODE_COMPILE_CACHE: COMPILE_CACHE,
  PATH: `${BIN}${delimiter}${process.env.PATH}`,
});

/** Runs a command in the repository and shows what it prints only if it fails. */
export async function runQuietly(command, args, { timeoutMs }) {
  const child = spawn(command, args, {
    cwd: ROOT,
    env: env(),
    stdio: ["ignore", "pipe", "pipe"],
    timeout: timeoutMs,
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += chunk));
  const { code, signal } = await passSignals(child);
  if (code === 0) return;
  const reason =
    signal === "SIGTERM" ? `took longer than ${timeoutMs / 1_000} s` : `failed (${signal ?? code})`;
  throw new Error(`${[command, ...args].join(" ")} ${reason}:\n${output}`);
}

/** Runs a command in the repository, in the terminal; resolves to how it ended. */
export function runInTerminal(command, args) {
  return passSignals(spawn(command, args, { cwd: ROOT, env: env(), stdio: "inherit" }));
}

/** Waits for a child that is to get the signals which this process gets, each once. */
async function passSignals(child) {
  const forward = (signal) => {
    // The terminal sends Ctrl-C to the child as well.
    if (signal !== "SIGINT" || !process.stdin.isTTY) child.kill(signal);
  };
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"];
  for (const signal of signals) process.on(signal, forward);
  try {
    return await new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code, signal) => resolve({ code, signal }));
    });
  } finally {
    for (const signal of signals) process.off(signal, forward);
  }
}

/** The npm that has started this script, or else the one on PATH. */
export function npm(args) {
  const { npm_execpath: cli } = process.env;
  return cli && basename(cli) === "npm-cli.js" ? [process.execPath, [cli, ...args]] : ["npm", args];
}
