import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { canInstall, installPackage } from "./apt-install.mjs";

const COMMANDS = ["chromium", "chromium-browser", "google-chrome"];
const MACOS_PATH = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome";
const LOOK_TIMEOUT_MS = 20_000;

const NOT_FOUND = `No Chromium was found, which the tests of the demo's page need. One of these gives you one:
  Debian, Ubuntu   sudo apt-get install -y --no-install-recommends chromium
  macOS            brew install --cask google-chrome
The other tests need none: npm test -- --ignoreProjects browser`;

const run = promisify(execFile);

/** Makes sure that `findChromium` finds one: root has it installed by apt-get, others are told what to type. */
export async function ensureChromium(step = (_what, work) => work()) {
  if (await lookFor()) return;
  if (await canInstall()) await step("installing chromium with apt-get", () => installPackage("chromium"));
  await findChromium();
}

/** The path of Chromium, or of Google's Chrome. */
export async function findChromium() {
  const found = await lookFor();
  if (!found) throw new Error(NOT_FOUND);
  return found;
}

async function lookFor() {
  const dirs = (process.env.PATH ?? "").split(delimiter);
  const paths = COMMANDS.flatMap((command) => dirs.map((dir) => join(dir, command)));
  for (const path of [...paths, MACOS_PATH]) {
    if (existsSync(path) && (await runs(path))) return path;
  }
  return undefined;
}

// On Ubuntu the command can be there and only say how to install the browser.
async function runs(path) {
  try {
    await run(path, ["--version"], { timeout: LOOK_TIMEOUT_MS });
    return true;
  } catch {
    return false;
  }
}
