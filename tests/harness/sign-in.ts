import { randomUUID } from "node:crypto";
import type { EmulatedProject } from "../../emulator/emulated-project.ts";

export interface SignInOptions {
  /** A new user if absent. */
  uid?: string;
  /** Custom claims, e.g. `{ admin: true }`. */
  claims?: Record<string, unknown>;
}

/** Signs a user in at the Auth emulator, creating it if need be, and returns its ID token. */
export async function signIn(
  project: EmulatedProject,
  { uid, claims = {} }: SignInOptions = {},
): Promise<string> {
  const url = `http://${project.authHost}/identitytoolkit.googleapis.com/v1/accounts:signInWithCustomToken?key=any`;
  // The emulator takes unsigned custom tokens, as plain JSON.
  const token = JSON.stringify({ uid: uid ?? randomUUID(), claims });
  const response = await fetch(url, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ token, returnSecureToken: true }),
  });
  if (!response.ok) throw new Error(`The Auth emulator refused to sign in: ${await response.text()}`);
  return ((await response.json()) as { idToken: string }).idToken;
}
