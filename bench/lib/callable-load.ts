import { Agent, request } from "node:http";

/** One call of a callable function. */
export interface CallableRequest {
  readonly url: string;
  readonly data: unknown;
  readonly idToken: string;
}

/** What callers, each asking again once it is answered, got of a function. */
export interface LoadReport {
  readonly calls: number;
  readonly errors: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** The first answer that was an error. */
  readonly firstError: string | undefined;
}

/** Latencies are counted in steps of this, so that a load of any length takes the same memory. */
const STEP_MS = 0.05;
const STEPS = 200_000;

/**
 * Keeps so many calls of a function under way, each on a connection of its own.
 *
 * @param onResult is told of each answer that is no error
 */
export async function loadCallable(
  callers: number,
  untilMs: number,
  nextCall: () => CallableRequest,
  onResult: (result: Readonly<Record<string, unknown>>, call: CallableRequest) => void = () => {},
): Promise<LoadReport> {
  const agent = new Agent({ keepAlive: true, maxSockets: callers });
  const histogram = new Uint32Array(STEPS);
  let calls = 0;
  let errors = 0;
  let firstError: string | undefined;
  const caller = async () => {
    while (Date.now() < untilMs) {
      const call = nextCall();
      const askedMs = performance.now();
      calls++;
      try {
        onResult(await callOver(agent, call), call);
      } catch (error) {
        errors++;
        firstError ??= (error as Error).message;
      }
      histogram[Math.min(STEPS - 1, Math.floor((performance.now() - askedMs) / STEP_MS))]!++;
    }
  };
  const startMs = performance.now();
  await Promise.all(Array.from({ length: callers }, caller));
  const seconds = (performance.now() - startMs) / 1000;
  agent.destroy();
  return {
    calls,
    errors,
    perSecond: calls / seconds,
    p50Ms: percentileMs(histogram, calls * 0.5),
    p99Ms: percentileMs(histogram, calls * 0.99),
    firstError,
  };
}

function percentileMs(histogram: Uint32Array, rank: number): number {
  let below = 0;
  const step = histogram.findIndex((count) => (below += count) >= rank);
  return (step + 1) * STEP_MS;
}

/** @throws Error with the answer unless it is a result */
function callOver(
  agent: Agent,
  { url, data, idToken }: CallableRequest,
): Promise<Readonly<Record<string, unknown>>> {
  const body = JSON.stringify({ data });
  const headers = {
    "Content-Type": "application/json",
    "Content-Length": Buffer.byteLength(body),
    Authorization: `Bearer ${idToken}`,
  };
  return new Promise((resolve, reject) => {
    const asked = request(url, { agent, method: "POST", headers }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (part: string) => (text += part));
      response.on("error", reject).on("end", () => {
        const answer = response.statusCode === 200 ? (JSON.parse(text) as { result?: object }) : {};
        if (answer.result) resolve(answer.result as Readonly<Record<string, unknown>>);
        else reject(new Error(`answered ${response.statusCode} ${text}`));
      });
    });
    asked.on("error", reject).end(body);
  });
}
