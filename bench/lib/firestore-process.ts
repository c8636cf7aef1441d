import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { whenGone } from "../../scripts/when-gone.mjs";

export interface FirestoreProcess {
  /** Host and port, as `FIRESTORE_EMULATOR_HOST` takes them. */
  readonly address: string;
  stop(): void;
}

const MAIN = join(import.meta.dirname, "../../emulator/firestore/main.ts");

/** Starts the stand-in Firestore in a process of its own, as production has it. */
export async function startFirestore(): Promise<FirestoreProcess> {
  const child = spawn(process.execPath, [MAIN, "--port", "0"], { stdio: ["ignore", "pipe", "inherit"] });
  const cancelCleanUp = whenGone('kill -KILL "$1"', [String(child.pid)]);
  const greeting = once(child.stdout, "data");
  const failure = once(child, "exit").then(([code]) => {
    throw new Error(`The stand-in Firestore ended with code ${code}.`);
  });
  failure.catch(() => {});
  const [text] = (await Promise.race([greeting, failure])) as [Buffer];
  const address = /[\d.]+:\d+/.exec(text.toString())![0];
  return {
    address,
    stop() {
      child.kill("SIGTERM");
      cancelCleanUp();
    },
  };
}

/** Makes Google's client in this process talk to the stand-in. */
export function useFirestore(address: string): void {
  process.env["FIRESTORE_EMULATOR_HOST"] = address;
  // There is no metadata server to ask for credentials.
  process.env["METADATA_SERVER_DETECTION"] = "none";
}
