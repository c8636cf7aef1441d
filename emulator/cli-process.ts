import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { whenGone } from "../scripts/when-gone.mjs";

const STOP_TIMEOUT_MS = 15_000;
const ASK_TIMEOUT_MS = 10_000;
const KEPT_LINES = 5_000;

export interface CliProcessOptions {
  /** The script that is the CLI, and its arguments. */
  command: string[];
  projectDir: string;
  env: Record<string, string | undefined>;
  log: (line: string) => void;
}

/**
 * The Firebase CLI as a child process that leads a process group of its own: so whatever it starts can be ended with
 * it, and Ctrl-C reaches it once, through `stop`.
 */
export class CliProcess {
  readonly #child: ChildProcess;
  readonly #closed: Promise<unknown>;
  readonly #lines: string[] = [];
  readonly #watchers = new Set<(line: string) => void>();
  readonly #cancelCleanUp: () => void;

  constructor({ command, projectDir, env, log }: CliProcessOptions) {
    const child = spawn(process.execPath, command, {
      cwd: projectDir,
      env,
      detached: true,
      stdio: ["ignore", "pipe", "pipe", "ipc"],
    });
    this.#child = child;
    this.#closed = once(child, "close");
    this.#cancelCleanUp = whenGone('kill -s KILL -- "-$1"; rm -rf "$2"', [String(child.pid), projectDir]);
    for (const stream of [child.stdout!, child.stderr!]) {
      createInterface(stream).on("line", (line) => {
        this.#lines.push(line);
        if (this.#lines.length > KEPT_LINES) this.#lines.shift();
        log(line);
        for (const watch of this.#watchers) watch(line);
      });
    }
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** What the CLI and the functions printed, the last 5,000 lines of it. */
  output(): string {
    return this.#lines.join("\n");
  }

  /** Waits until the CLI prints a line with this text. */
  async untilPrinted(text: string, timeoutMs: number): Promise<void> {
    const waiting = new AbortController();
    const printed = new Promise<void>((resolve) => {
      const watch = (line: string): void => void (line.includes(text) && resolve());
      this.#watchers.add(watch);
      waiting.signal.addEventListener("abort", () => this.#watchers.delete(watch));
    });
    const late = sleep(timeoutMs, undefined, { signal: waiting.signal }).then(() => {
      throw new Error(
        `The Firebase CLI was not ready within ${timeoutMs / 1_000} s. It printed:\n${this.output()}`,
      );
    });
    const gone = this.#closed.then(() => {
      throw new Error(`The Firebase CLI exited before it was ready. It printed:\n${this.output()}`);
    });
    try {
      await Promise.race([printed, late, gone]);
    } finally {
      waiting.abort();
    }
  }

  /**
   * Sends the CLI a message, and waits for the answer.
   *
   * @throws Error when there is none within 10 s, or the CLI has exited
   */
  async ask(message: object): Promise<void> {
    const answered = once(this.#child, "message", { signal: AbortSignal.timeout(ASK_TIMEOUT_MS) });
    await new Promise<void>((resolve, reject) => {
      this.#child.send(message, (error) => (error ? reject(error) : resolve()));
    });
    await answered;
  }

  /** Ends the CLI, its emulators and the functions: asks first, then kills the whole group. */
  async stop(): Promise<void> {
    const timer = new AbortController();
    if (this.#child.exitCode === null) this.#child.kill("SIGINT");
    await Promise.race([
      this.#closed,
      sleep(STOP_TIMEOUT_MS, undefined, { signal: timer.signal }).catch(() => {}),
    ]);
    timer.abort();
    killGroup(this.pid);
    await this.#closed;
    this.#cancelCleanUp();
  }
}

function killGroup(leader: number): void {
  try {
    process.kill(-leader, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}
