import type { Sample } from "../console/messages.ts";
import { summarize } from "../latency.ts";
import type { PolicyDecision, QuotaCall } from "../measured.ts";
import { SHOWN_SECONDS } from "./time-chart.ts";

/** The samples of the last two minutes, with the calls that this page has made itself. */
export class Samples {
  #samples: Sample[] = [];
  #ownCalls: Omit<QuotaCall, "way">[] = [];
  #ownDecisions: PolicyDecision[] = [];

  /** Starts anew from what the demo has kept. */
  reset(history: readonly Sample[]): void {
    this.#samples = [...history];
  }

  /** A call that this page has made; it belongs to the sample that comes next. */
  addOwnCall(call: Omit<QuotaCall, "way">): void {
    this.#ownCalls.push(call);
  }

  addOwnDecision(decision: PolicyDecision): void {
    this.#ownDecisions.push(decision);
  }

  add(sample: Sample): void {
    const by = (source: QuotaCall["source"]): number =>
      this.#ownCalls.filter((call) => call.source === source).length;
    const { redis, firestore } = sample.calls;
    const callable = this.#ownCalls.length > 0 && summarize(this.#ownCalls.map(({ ms }) => ms));
    this.#samples.push({
      ...sample,
      calls: { redis: redis + by("redis"), firestore: firestore + by("firestore") },
      latency: { ...sample.latency, ...(callable && { callable }) },
      decisions: [...sample.decisions, ...this.#ownDecisions.map((decision) => ({ ...decision, count: 1 }))],
    });
    this.#ownCalls = [];
    this.#ownDecisions = [];
    while (this.#samples.length > SHOWN_SECONDS + 1) this.#samples.shift();
  }

  /** The samples that are not too old to be shown, and how long ago each ended, in seconds and negative. */
  shown(): { readonly seconds: number[]; readonly samples: readonly Sample[] } {
    const nowMs = this.#samples.at(-1)?.atMs ?? 0;
    const samples = this.#samples.filter(({ atMs }) => nowMs - atMs <= SHOWN_SECONDS * 1_000);
    return { seconds: samples.map(({ atMs }) => (atMs - nowMs) / 1_000), samples };
  }
}
