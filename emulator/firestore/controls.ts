import { setTimeout as sleep } from "node:timers/promises";
import type { CallFaults, CallStats } from "./call-faults.ts";
import type { DeliveryStats, Redelivery, ReleaseOrder } from "./deliveries.ts";
import type { DeliveryFaults } from "./delivery-faults.ts";

const POLL_INTERVAL_MS = 10;

/**
 * The delivery switches of a running stand-in, for one project: what reaches its triggers, how often, how late and in
 * which order. Every method throws if the stand-in refuses, with its message.
 *
 * @example
 * const controls = new DeliveryControls("127.0.0.1:8080", "demo-project");
 * await controls.hold();
 * // ... write to Firestore ...
 * await controls.release("reverse");
 * await controls.idle();
 */
export class DeliveryControls {
  readonly #url: string;

  /** @param address `host:port` of the stand-in, as in FIRESTORE_EMULATOR_HOST */
  constructor(address: string, project: string) {
    this.#url = `http://${address}/stand-in/v1/projects/${project}/deliveries`;
  }

  /** Replaces the faults of the deliveries from now on. */
  async setFaults(faults: DeliveryFaults): Promise<void> {
    await call(this.#url, "PUT", "", faults);
  }

  /** Back to faithful delivery: no faults, what is on hold is released in order, counters are zero. */
  async clear(): Promise<void> {
    await call(this.#url, "DELETE", "");
  }

  /** Holds back all deliveries from now on. */
  async hold(): Promise<void> {
    await call(this.#url, "POST", "/hold");
  }

  /** Delivers what was on hold, one after another in this order, and ends the hold; returns how many there were. */
  async release(order: ReleaseOrder = "commit"): Promise<number> {
    const { released } = (await call(this.#url, "POST", "/release", { order })) as { released: number };
    return released;
  }

  /**
   * Delivers an old event again, unchanged, with its id and time; to every trigger that had it, unless one is named.
   *
   * @returns how many deliveries that are; 0 if there is no such event
   */
  async redeliver(document: string, options: Partial<Omit<Redelivery, "document">> = {}): Promise<number> {
    const body = { document, ...options };
    const { redelivered } = (await call(this.#url, "POST", "/redeliver", body)) as { redelivered: number };
    return redelivered;
  }

  async stats(): Promise<DeliveryStats> {
    const { stats } = (await call(this.#url, "GET", "")) as { stats: DeliveryStats };
    return stats;
  }

  /** Waits until nothing is under way, except what is on hold. */
  async idle(timeoutMs = 100_000): Promise<void> {
    const deadlineMs = performance.now() + timeoutMs;
    for (;;) {
      const { pending, held } = await this.stats();
      if (pending === held) return;
      if (performance.now() > deadlineMs)
        throw new Error(`${pending - held} deliveries pending after ${timeoutMs} ms.`);
      await sleep(POLL_INTERVAL_MS);
    }
  }
}

/**
 * The switches of a running stand-in for the gRPC calls of all projects: refusals, delays and lost answers. Every method
 * throws if the stand-in refuses, with its message.
 *
 * @example
 * const controls = new CallControls("127.0.0.1:8080");
 * await controls.set({ status: "UNAVAILABLE", at: "answer", methods: ["Commit"], probability: 0.3 });
 * // ... use Firestore ...
 * await controls.clear();
 */
export class CallControls {
  readonly #url: string;

  /** @param address `host:port` of the stand-in, as in FIRESTORE_EMULATOR_HOST */
  constructor(address: string) {
    this.#url = `http://${address}/stand-in/v1/calls`;
  }

  /** Replaces the faults of the calls from now on. */
  async set(faults: CallFaults): Promise<void> {
    await call(this.#url, "PUT", "", faults);
  }

  /** Ends the faults. */
  async clear(): Promise<void> {
    await call(this.#url, "DELETE", "");
  }

  /** What has come of the faults since they were set. */
  async stats(): Promise<CallStats> {
    const { stats } = (await call(this.#url, "GET", "")) as { stats: CallStats };
    return stats;
  }
}

async function call(url: string, method: string, path: string, body?: object): Promise<unknown> {
  const response = await fetch(url + path, { method, ...(body && { body: JSON.stringify(body) }) });
  const answer = (await response.json()) as { error?: string };
  if (!response.ok) throw new Error(answer.error ?? `${method} ${url}${path} answered ${response.status}.`);
  return answer;
}
