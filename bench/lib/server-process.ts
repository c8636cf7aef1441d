import { spawn } from "node:child_process";
import { once } from "node:events";
import { whenGone } from "../../scripts/when-gone.mjs";

export interface ServerProcess {
  readonly pid: number;
  /** What it said first. */
  readonly greeting: string;
  stop(): void;
}

/** Starts a server in a process of its own, as production has it, and waits until it says where it is. */
export async function startServer(
  file: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
  stderr: "inherit" | "ignore" = "inherit",
): Promise<ServerProcess> {
  const child = spawn(process.execPath, [file, ...args], { stdio: ["ignore", "pipe", stderr], env });
  const cancelCleanUp = whenGone('kill -KILL "$1"', [String(child.pid)]);
  const greeting = once(child.stdout, "data");
  const failure = once(child, "exit").then(([code]) => {
    throw new Error(`${file} ended with code ${code}.`);
  });
  failure.catch(() => {});
  const [text] = (await Promise.race([greeting, failure])) as [Buffer];
  return {
    pid: child.pid!,
    greeting: text.toString().trim(),
    stop() {
      child.kill("SIGTERM");
      cancelCleanUp();
    },
  };
}
