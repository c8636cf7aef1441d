import { applicationDefault, getApps, initializeApp, type App } from "firebase-admin/app";

/** The name that firebase-admin gives to the default app. */
const DEFAULT_APP = "[DEFAULT]";

/** Returns firebase-admin's default app. Initializes it, for this project or the environment's, if nobody has. */
export function defaultApp(projectId?: string): App {
  const app = getApps().find(({ name }) => name === DEFAULT_APP);
  return app ?? initializeApp(projectId === undefined ? undefined : { projectId });
}

/** A token for Google Cloud's APIs, from Google's default credentials. */
export async function accessToken(): Promise<string> {
  const { access_token: token } = await applicationDefault().getAccessToken();
  return token;
}
