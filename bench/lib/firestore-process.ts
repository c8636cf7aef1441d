import { join } from "node:path";
import { startServer } from "./server-process.ts";

export interface FirestoreProcess {
  /** Host and port, as `FIRESTORE_EMULATOR_HOST` takes them. */
  readonly address: string;
  readonly pid: number;
  stop(): void;
}

const MAIN = join(import.meta.dirname, "../../emulator/firestore/main.ts");

/**
 * Starts the stand-in Firestore.
 *
 * @param options.aheadMs how far its clock is ahead of the machine's
 */
export async function startFirestore({ aheadMs = 0 } = {}): Promise<FirestoreProcess> {
  const { greeting, pid, stop } = await startServer(MAIN, ["--port", "0", `--clock-offset-ms=${aheadMs}`]);
  return { address: /[\d.]+:\d+/.exec(greeting)![0], pid, stop };
}

/** Makes Google's client in this process talk to the stand-in. */
export function useFirestore(address: string): void {
  process.env["FIRESTORE_EMULATOR_HOST"] = address;
  // There is no metadata server to ask for credentials.
  process.env["METADATA_SERVER_DETECTION"] = "none";
}
