import { randomUUID } from "node:crypto";
import { Firestore } from "@google-cloud/firestore";
import { DeliveryControls } from "../../emulator/firestore/controls.ts";
import { type FirestoreServer, startFirestoreServer } from "../../emulator/firestore/server.ts";
import { googleAddress } from "../harness/google-firestore.ts";

/** Google's own emulator, `host:port`, to run what both must do against it instead; switches are the stand-in's only. */
export const OFFICIAL_HOST = process.env["FRQ_EMULATORS"] === "official" ? googleAddress() : undefined;

/** What a test file runs against, with a project of its own. */
export interface FirestoreTarget {
  address: string;
  project: string;
  db: Firestore;
  controls: DeliveryControls;
  /** Undefined for Google's emulator. */
  server: FirestoreServer | undefined;
  stop(): Promise<void>;
}

export async function startTarget(): Promise<FirestoreTarget> {
  const server = OFFICIAL_HOST ? undefined : await startFirestoreServer();
  const address = server ? `${server.host}:${server.port}` : (OFFICIAL_HOST ?? "");
  const project = `demo-${randomUUID()}`;
  process.env["METADATA_SERVER_DETECTION"] = "none"; // the client would look for credentials that it does not need
  const db = connect(address, project);
  return {
    address,
    project,
    db,
    controls: new DeliveryControls(address, project),
    server,
    async stop() {
      await db.terminate();
      await server?.close();
    },
  };
}

export function connect(
  address: string,
  projectId: string,
  settings: FirebaseFirestore.Settings = {},
): Firestore {
  process.env["FIRESTORE_EMULATOR_HOST"] = address;
  const db = new Firestore({ projectId, ...settings });
  delete process.env["FIRESTORE_EMULATOR_HOST"];
  return db;
}

/** A new collection's id. */
export function uniqueId(): string {
  return `c-${randomUUID()}`;
}
