import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createWriteStream, mkdirSync } from "node:fs";
import { createInterface } from "node:readline";
import { dirname, join } from "node:path";
import { whenGone } from "../../scripts/when-gone.mjs";

const RUN = join(import.meta.dirname, "..", "..", "demo", "run.ts");
const LOG_FILE = join(import.meta.dirname, "..", "..", ".tmp", "browser-tests.log");
const START_TIMEOUT_MS = 150_000;
const STOP_TIMEOUT_MS = 30_000;
const READY = "Console, to be opened in a browser";

/** The demo as a person starts it, without its steps: everything runs, with providers, and the page is served. */
export class DemoProcess {
  readonly #child: ChildProcess;
  readonly #cancelCleanUp: () => void;
  readonly url: string;

  private constructor(child: ChildProcess, url: string) {
    this.#child = child;
    this.#cancelCleanUp = whenGone('kill -INT "$1"', [String(child.pid)]);
    this.url = url;
  }

  /** @throws Error with what the demo printed, when it is not ready in time */
  static async start(): Promise<DemoProcess> {
    const child = spawn(process.execPath, [RUN, "--no-steps"], { stdio: ["ignore", "pipe", "pipe"] });
    mkdirSync(dirname(LOG_FILE), { recursive: true });
    const log = createWriteStream(LOG_FILE);
    const lines: string[] = [];
    const keep = (line: string): void => {
      lines.push(line);
      log.write(`${line}\n`);
    };
    const ready = new Promise<string>((resolve) => {
      createInterface(child.stdout).on("line", (line) => {
        keep(line);
        if (line.includes(READY)) resolve(line.slice(line.indexOf("http://")));
      });
    });
    createInterface(child.stderr).on("line", keep);
    const ended = once(child, "close").then(() => undefined);
    const timer = new AbortController();
    const late = once(AbortSignal.timeout(START_TIMEOUT_MS), "abort", { signal: timer.signal })
      .then(() => undefined)
      .catch(() => undefined);
    const url = await Promise.race([ready, ended, late]);
    timer.abort();
    if (url !== undefined) return new DemoProcess(child, url);
    await endProcess(child);
    throw new Error(`The demo did not start. It printed:\n${lines.join("\n")}`);
  }

  /** Ends the demo as Ctrl-C does; again does nothing. */
  async stop(): Promise<void> {
    await endProcess(this.#child);
    this.#cancelCleanUp();
  }
}

async function endProcess(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const closed = once(child, "close");
  const killed = setTimeout(() => child.kill("SIGKILL"), STOP_TIMEOUT_MS);
  child.kill("SIGINT");
  await closed;
  clearTimeout(killed);
}
