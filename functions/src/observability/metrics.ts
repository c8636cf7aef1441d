import { Counters, type MetricCounts } from "./counters";
import type { Logs } from "./logs";

/** One instance writes at most one summary in this time. */
const INTERVAL_MS = 60_000;

/** Usage that Redis holds and Firestore lacks. */
export interface Unsynced {
  readonly pendingProviders: number;
  /** Age of the oldest of it; 0 for none. */
  readonly oldestPendingMs: number;
}

/** What services count of quotas; {@link Metrics} in a function. */
export type QuotaMetrics = Pick<Metrics, "hit" | "miss" | "fallback">;

/**
 * Counts what one process does. A summary is written to the log with what is counted first and then, as there is no
 * timer that would keep an instance alive, with the first count that comes a minute or more after the summary before:
 * what an instance counts in its last minute is not written.
 *
 * `share` is given what each summary has. This happens during a call: whatever it starts is not waited for.
 */
export class Metrics {
  private readonly startedAtMs: number;
  private readonly total = new Counters();
  private recent = new Counters();
  private unsynced: Unsynced | undefined;
  private writtenAtMs: number;
  private circuit: "open" | "closed" = "closed";

  constructor(
    private readonly logs: Logs,
    private readonly now: () => number = Date.now,
    private readonly share: (counted: Counters) => void = () => {},
  ) {
    this.startedAtMs = now();
    this.writtenAtMs = this.startedAtMs - INTERVAL_MS;
  }

  /** Redis answered what was asked about a quota. */
  hit(): void {
    this.recent.hits++;
    this.writeIfDue();
  }

  /** Redis did not hold the quota. */
  miss(): void {
    this.recent.misses++;
    this.writeIfDue();
  }

  /** Firestore answered because Redis gave no answer. */
  fallback(): void {
    this.recent.fallbacks++;
    this.writeIfDue();
  }

  /** A change of a provider document reached Redis. */
  mirrored(lagMs: number): void {
    this.recent.addLag(lagMs);
    this.writeIfDue();
  }

  /** So many requests were allowed under a policy, and so many refused. */
  decided(policy: string, source: string, allowed: number, refused: number): void {
    this.recent.addDecisions(policy, source, allowed, refused);
    this.writeIfDue();
  }

  /** The circuit to Redis has opened or closed. */
  circuitChanged(to: "open" | "closed"): void {
    this.recent[to === "open" ? "circuitOpened" : "circuitClosed"]++;
    this.circuit = to;
    this.writeIfDue();
  }

  /** A sync has found what Firestore still lacks. */
  measured(unsynced: Unsynced): void {
    this.unsynced = unsynced;
    this.writeIfDue();
  }

  /** All that this process has counted, and how the circuit to Redis is. */
  counts(): { readonly sinceMs: number; readonly circuit: "open" | "closed" } & MetricCounts {
    const all = new Counters();
    all.add(this.total);
    all.add(this.recent);
    return { sinceMs: this.startedAtMs, circuit: this.circuit, ...all.counts() };
  }

  private writeIfDue(): void {
    const nowMs = this.now();
    const elapsedMs = nowMs - this.writtenAtMs;
    if (elapsedMs < INTERVAL_MS) return;
    const { recent, unsynced } = this;
    this.total.add(recent);
    this.recent = new Counters();
    this.unsynced = undefined;
    this.writtenAtMs = nowMs;
    this.logs.redisQuotaMetrics({ ...recent.counts(), ...unsynced });
    this.share(recent);
  }
}
