import type { Firestore } from "firebase-admin/firestore";
import type * as adminFirestore from "firebase-admin/firestore";

import { defaultApp } from "./default-app";

/** The client of a database. Loads it, and with it Google's client library, when first called. */
export function defaultFirestore(database: string, projectId?: string): Firestore {
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- an import cannot be lazy and synchronous
  const { getFirestore } = require("firebase-admin/firestore") as typeof adminFirestore;
  return getFirestore(defaultApp(projectId), database);
}
