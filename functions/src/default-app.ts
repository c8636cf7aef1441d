import { applicationDefault, getApps, initializeApp, type App } from "firebase-admin/app";

/** firebase-admin's default app: the process's own if it has initialised one, else of this project or the environment's. */
export function defaultApp(projectId?: string): App {
  return getApps()[0] ?? initializeApp(projectId === undefined ? undefined : { projectId });
}

/** A token for Google Cloud's APIs, from Google's default credentials. */
export async function accessToken(): Promise<string> {
  const { access_token: token } = await applicationDefault().getAccessToken();
  return token;
}
