import { type Latency, summarize } from "../latency.ts";
import { measured, type PolicyDecision, type QuotaCall } from "../measured.ts";
import type { DecisionCount, LatencySeries, Sample } from "./messages.ts";

const EVERY_MS = 1_000;
const KEPT_SAMPLES = 180;

/** Sums up, each second, what calls and mirrored changes have been measured. */
export class Sampler {
  readonly history: Sample[] = [];
  #second = new Second();
  readonly #timer: NodeJS.Timeout;

  constructor(tell: (sample: Sample) => void) {
    measured.on("quotaCall", this.#onCall);
    measured.on("decision", this.#onDecision);
    this.#timer = setInterval(() => {
      const sample = this.#second.sample(Date.now());
      this.#second = new Second();
      this.history.push(sample);
      if (this.history.length > KEPT_SAMPLES) this.history.shift();
      tell(sample);
    }, EVERY_MS);
  }

  mirrored(lagMs: number): void {
    this.#second.lagsMs.push(lagMs);
  }

  failed(): void {
    this.#second.errors++;
  }

  stop(): void {
    clearInterval(this.#timer);
    measured.off("quotaCall", this.#onCall);
    measured.off("decision", this.#onDecision);
  }

  readonly #onCall = (call: QuotaCall): void => this.#second.addCall(call);
  readonly #onDecision = (decision: PolicyDecision): void => this.#second.addDecision(decision);
}

class Second {
  readonly lagsMs: number[] = [];
  errors = 0;
  readonly #calls = { redis: 0, firestore: 0 };
  readonly #durationsMs = new Map<LatencySeries, number[]>();
  readonly #decisions = new Map<string, DecisionCount>();

  addCall({ way, source, ms }: QuotaCall): void {
    this.#calls[source]++;
    const series = way === "callable" ? way : source;
    const durations = this.#durationsMs.get(series);
    if (durations) durations.push(ms);
    else this.#durationsMs.set(series, [ms]);
  }

  addDecision({ policy, source, allowed }: PolicyDecision): void {
    const key = [policy, source, allowed].join();
    const count = (this.#decisions.get(key)?.count ?? 0) + 1;
    this.#decisions.set(key, { policy, source, allowed, count });
  }

  sample(atMs: number): Sample {
    const latency: Partial<Record<LatencySeries, Latency>> = {};
    for (const [series, durationsMs] of this.#durationsMs) latency[series] = summarize(durationsMs);
    return {
      atMs,
      calls: this.#calls,
      errors: this.errors,
      latency,
      ...(this.lagsMs.length > 0 && { mirrorLag: summarize(this.lagsMs) }),
      decisions: [...this.#decisions.values()],
    };
  }
}
