import { getApps, initializeApp, type App } from "firebase-admin/app";

/** firebase-admin's default app: the process's own if it has initialised one. */
export function defaultApp(): App {
  return getApps()[0] ?? initializeApp();
}
