const TIMEOUT_MS = 10_000;

/** How Google Cloud's APIs are reached. */
export interface CloudAccess {
  /** @throws Error without credentials */
  readonly accessToken: () => Promise<string>;
  /** Where an API is, instead of `https://NAME.googleapis.com`. */
  readonly addressOf?: (api: string) => string;
}

/**
 * Asks one of Google Cloud's APIs, such as `redis` for redis.googleapis.com.
 *
 * @throws Error with what the API says, within 10 s
 */
export async function askCloud<T>(
  { accessToken, addressOf = (name) => `https://${name}.googleapis.com` }: CloudAccess,
  api: string,
  path: string,
  body?: unknown,
): Promise<T> {
  const response = await fetch(`${addressOf(api)}/${path}`, {
    headers: { Authorization: `Bearer ${await accessToken()}`, "Content-Type": "application/json" },
    signal: AbortSignal.timeout(TIMEOUT_MS),
    ...(body !== undefined && { method: "POST", body: JSON.stringify(body) }),
  });
  const answer = (await response.json()) as T & { readonly error?: { readonly message?: string } };
  if (!response.ok) throw new Error(`${api}.googleapis.com: ${answer.error?.message ?? response.statusText}`);
  return answer;
}
