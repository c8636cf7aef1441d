import { join } from "node:path";
import { startServer } from "./server-process.ts";

export interface FirestoreProcess {
  /** Host and port, as `FIRESTORE_EMULATOR_HOST` takes them. */
  readonly address: string;
  stop(): void;
}

const MAIN = join(import.meta.dirname, "../../emulator/firestore/main.ts");

/** Starts the stand-in Firestore. */
export async function startFirestore(): Promise<FirestoreProcess> {
  const { greeting, stop } = await startServer(MAIN, ["--port", "0"]);
  return { address: /[\d.]+:\d+/.exec(greeting)![0], stop };
}

/** Makes Google's client in this process talk to the stand-in. */
export function useFirestore(address: string): void {
  process.env["FIRESTORE_EMULATOR_HOST"] = address;
  // There is no metadata server to ask for credentials.
  process.env["METADATA_SERVER_DETECTION"] = "none";
}
