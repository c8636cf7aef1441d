import { randomUUID } from "node:crypto";
import type { EmulatedProject } from "../../emulator/emulated-project.ts";

export interface SignInOptions {
  /** A new user if absent. */
  uid?: string;
  /** Custom claims, e.g. `{ admin: true }`. */
  claims?: Record<string, unknown>;
}

/** What the Auth emulator answers an endpoint of its client API. */
export async function askAuth(
  project: EmulatedProject,
  endpoint: string,
  body: object,
): Promise<{ readonly status: number; readonly answer: Record<string, unknown> }> {
  const response = await fetch(`http://${project.authHost}/${endpoint}?key=any`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  return { status: response.status, answer: (await response.json()) as Record<string, unknown> };
}

/** Signs a user in at the Auth emulator, creating it if need be, and returns its ID token. */
export async function signIn(
  project: EmulatedProject,
  { uid, claims = {} }: SignInOptions = {},
): Promise<string> {
  // The emulator takes unsigned custom tokens, as plain JSON.
  const token = JSON.stringify({ uid: uid ?? randomUUID(), claims });
  const endpoint = "identitytoolkit.googleapis.com/v1/accounts:signInWithCustomToken";
  const { status, answer } = await askAuth(project, endpoint, { token, returnSecureToken: true });
  if (status !== 200) throw new Error(`The Auth emulator refused to sign in: ${JSON.stringify(answer)}`);
  return answer["idToken"] as string;
}
