import { Agent, request } from "node:http";

/** One call of a callable function. */
export interface CallableRequest {
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
 * Keeps so many calls of a function under way. Each caller has one of its instances, and a connection of its own that is
 * never idle: a server ends one that is, now and then just as it is asked again.
 *
 * @param urls of the function's instances
 * @param onResult is told of each answer that is no error
 */
export async function loadCallable(
  urls: readonly string[],
  { callers, forMs }: { readonly callers: number; readonly forMs: number },
  nextCall: () => CallableRequest,
  onResult: (result: Readonly<Record<string, unknown>>, call: CallableRequest) => void = () => {},
): Promise<LoadReport> {
  const histogram = new Uint32Array(STEPS);
  let calls = 0;
  let errors = 0;
  let firstError: string | undefined;
  const startMs = performance.now();
  const caller = async (url: string) => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    while (performance.now() - startMs < forMs) {
      const call = nextCall();
      const askedMs = performance.now();
      calls++;
      try {
        onResult(await callOver(agent, url, call), call);
      } catch (error) {
        errors++;
        firstError ??= (error as Error).message;
      }
      histogram[Math.min(STEPS - 1, Math.floor((performance.now() - askedMs) / STEP_MS))]!++;
    }
    agent.destroy();
  };
  await Promise.all(Array.from({ length: callers }, (_, i) => caller(urls[i % urls.length]!)));
  const seconds = (performance.now() - startMs) / 1000;
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
  url: string,
  { data, idToken }: CallableRequest,
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
