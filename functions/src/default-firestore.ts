import type { Firestore } from "@google-cloud/firestore";
import { getApps, initializeApp } from "firebase-admin/app";
import { getFirestore } from "firebase-admin/firestore";

/** The client of the default database, of the app's own firebase-admin if it has been initialised. */
export function defaultFirestore(): Firestore {
  return getFirestore(getApps()[0] ?? initializeApp());
}
