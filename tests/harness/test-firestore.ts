import { Firestore } from "@google-cloud/firestore";
import type { EmulatedProject } from "../../emulator/emulated-project.ts";

/** A client of the emulated project's default database, at its own address or another. The test terminates it. */
export function connectFirestore(project: EmulatedProject, address = project.firestoreHost): Firestore {
  return connect(project, address);
}

/** A client of another of its databases. The test terminates it. */
export function connectDatabase(project: EmulatedProject, databaseId: string): Firestore {
  return connect(project, project.firestoreHost, databaseId);
}

function connect({ projectId }: EmulatedProject, address: string, databaseId = "(default)"): Firestore {
  // The client asks for no credentials there, and need not look for a metadata server.
  process.env["METADATA_SERVER_DETECTION"] = "none";
  process.env["FIRESTORE_EMULATOR_HOST"] = address;
  return new Firestore({ projectId, databaseId });
}
