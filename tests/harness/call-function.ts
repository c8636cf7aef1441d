export interface CallOptions {
  idToken?: string;
  appCheckToken?: string;
}

/** Longer than the emulator waits for the process of a function. */
const TIMEOUT_MS = 150_000;

/** The error that a callable function answered with. */
export class CallableError extends Error {
  override readonly name = "CallableError";
  /** In the protocol's spelling: `INVALID_ARGUMENT`, `PERMISSION_DENIED`, ... */
  readonly status: string;
  readonly details: unknown;

  constructor(status: string, message: string, details: unknown) {
    super(message);
    this.status = status;
    this.details = details;
  }
}

/**
 * Calls a callable function as the client SDKs do.
 *
 * @throws CallableError when the function answers with an error
 */
export function callFunction(url: string, data: unknown, options: CallOptions = {}): Promise<unknown> {
  return postToFunction(url, JSON.stringify({ data }), options);
}

/**
 * Sends a callable function what no client SDK would: any text as the body.
 *
 * @throws CallableError when the function answers with an error
 */
export async function postToFunction(
  url: string,
  requestBody: string,
  options: CallOptions = {},
): Promise<unknown> {
  const headers: Record<string, string> = { "Content-Type": "application/json" };
  if (options.idToken) headers["Authorization"] = `Bearer ${options.idToken}`;
  if (options.appCheckToken) headers["X-Firebase-AppCheck"] = options.appCheckToken;

  const signal = AbortSignal.timeout(TIMEOUT_MS);
  const response = await fetch(url, { method: "POST", headers, body: requestBody, signal });
  const text = await response.text();
  if (!response.headers.get("Content-Type")?.startsWith("application/json")) {
    throw new Error(`${url} did not answer as a callable function: ${response.status} ${text}`);
  }
  const body = JSON.parse(text) as {
    result?: unknown;
    error?: { status: string; message: string; details?: unknown };
  };
  if (body.error) throw new CallableError(body.error.status, body.error.message, body.error.details);
  return body.result;
}
