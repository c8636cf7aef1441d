import type * as secretManager from "@google-cloud/secret-manager";
import type * as grpc from "@grpc/grpc-js";

import { withDeadline } from "../deadline";
import type { Secret } from "../secret";

const READ_TIMEOUT_MS = 5000;

/** Reads the values of secrets, in their order. */
export type ReadSecrets = (secrets: readonly Secret[]) => Promise<readonly string[]>;

/** Secret Manager gave no value: it cannot be reached, there is no such version, or the role to read it is missing. */
export class SecretUnavailableError extends Error {
  override readonly name = "SecretUnavailableError";
  readonly code = "secret-unavailable";

  constructor({ param, version }: Secret, reason: string) {
    super(`The secret ${version} (${param}) cannot be read: ${reason}`);
  }
}

/**
 * A reader of secrets in Google's Secret Manager, whose client is loaded when the first secret is read. Connections last
 * for one reading: readings are rare, and a kept connection would long remember that it once failed.
 *
 * @param emulatorHost address of another server for the same protocol, asked without TLS and without credentials
 * @throws SecretUnavailableError (the reader) within 5 s
 */
export function secretReader(emulatorHost?: string): ReadSecrets {
  return async (secrets) => {
    const client = createClient(emulatorHost);
    try {
      return await Promise.all(secrets.map((secret) => read(client, secret)));
    } finally {
      // Nobody waits for it, and what was read is read.
      client.close().catch(() => {});
    }
  };
}

/* eslint-disable @typescript-eslint/no-require-imports -- who names no secret does not pay for loading these */
function createClient(emulatorHost: string | undefined): secretManager.SecretManagerServiceClient {
  const { SecretManagerServiceClient } = require("@google-cloud/secret-manager") as typeof secretManager;
  if (emulatorHost === undefined) return new SecretManagerServiceClient();
  const { credentials } = require("@grpc/grpc-js") as typeof grpc;
  const { hostname, port } = new URL(`http://${emulatorHost}`);
  return new SecretManagerServiceClient({
    apiEndpoint: hostname,
    port: Number(port),
    sslCreds: credentials.createInsecure(),
    // The library asks this much of credentials that it does not need, and would look for some, on the network too.
    auth: { getUniverseDomain: () => Promise.resolve("googleapis.com") } as never,
  });
}
/* eslint-enable @typescript-eslint/no-require-imports */

async function read(client: secretManager.SecretManagerServiceClient, secret: Secret): Promise<string> {
  // Without the library's retries, which would take a minute: who needs the secret asks again.
  const options = { timeout: READ_TIMEOUT_MS, retry: { retryCodes: [] } };
  try {
    const [{ payload }] = await withDeadline(
      client.accessSecretVersion({ name: secret.version }, options),
      READ_TIMEOUT_MS,
      `no answer within ${READ_TIMEOUT_MS} ms`,
    );
    return Buffer.from((payload?.data ?? "") as Uint8Array).toString();
  } catch (error) {
    throw new SecretUnavailableError(secret, (error as Error).message);
  }
}
