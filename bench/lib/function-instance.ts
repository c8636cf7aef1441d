import { join } from "node:path";
import { startServer } from "./server-process.ts";
import { unsignedIdToken } from "./unsigned-token.ts";

/** A callable to measure. */
export interface FunctionToMeasure {
  /** The module that exports it. */
  readonly file: string;
  readonly function: string;
  /** What its first call is given. */
  readonly data: unknown;
  /** Who calls: nobody if undefined. The instance must skip the verification of tokens. */
  readonly uid?: string;
  readonly env: NodeJS.ProcessEnv;
}

/** Milliseconds that a new instance takes to load its module, and to load it and answer its first call. */
export interface InstanceCosts {
  readonly load: number;
  readonly "first-call": number;
}

const SERVER = join(import.meta.dirname, "instance-server.ts");

/**
 * Starts an instance of a callable, and calls it once.
 *
 * @throws Error if the call fails, or is not answered by Redis
 */
export async function measureInstance({
  file,
  function: name,
  data,
  uid,
  env,
}: FunctionToMeasure): Promise<InstanceCosts> {
  const { greeting: port, stop } = await startServer(SERVER, [file, name], env);
  try {
    const answer = await fetch(`http://127.0.0.1:${port}/`, {
      method: "POST",
      headers: {
        "Content-Type": "application/json",
        ...(uid !== undefined && { Authorization: `Bearer ${unsignedIdToken(uid)}` }),
      },
      body: JSON.stringify({ data }),
    });
    const body = (await answer.json()) as {
      result?: { allowed?: boolean; source?: string; reason?: string };
    };
    if (!body.result || body.result.source === "firestore" || body.result.reason === "redis-unavailable")
      throw new Error(`${name} of ${file} answered ${JSON.stringify(body)}.`);
    return (await (await fetch(`http://127.0.0.1:${port}/costs`)).json()) as InstanceCosts;
  } finally {
    stop();
  }
}
