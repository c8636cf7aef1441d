import type { Logs } from "./logs";

/** One instance writes at most one summary in this time. */
const INTERVAL_MS = 60_000;

/** Who decided requests under a rate limit's policy, and how. */
export type DecisionCounts = Readonly<Record<string, { readonly allowed: number; readonly refused: number }>>;

/** What has been counted since a time. */
export interface MetricCounts {
  /** Checks and consumptions of quotas that Redis answered at once. */
  readonly hits: number;
  /** Those for which Firestore was read because Redis did not hold the quota. */
  readonly misses: number;
  /** Those that Firestore answered because Redis gave no answer. */
  readonly fallbacks: number;
  /** Changes of provider documents that reached Redis, and how long after their commits. */
  readonly mirrored: number;
  readonly mirrorLagMeanMs: number;
  readonly mirrorLagMaxMs: number;
  readonly rateLimitAllowed: number;
  readonly rateLimitRefused: number;
  /** Those of both that Redis did not decide. */
  readonly rateLimitFallbacks: number;
  /** How often the circuit to Redis opened, as Redis had answered too late, and closed again. */
  readonly circuitOpened: number;
  readonly circuitClosed: number;
  /** Decisions by policy, and then by source. */
  readonly decisions: Readonly<Record<string, DecisionCounts>>;
}

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
  }
}

class Counters {
  hits = 0;
  misses = 0;
  fallbacks = 0;
  circuitOpened = 0;
  circuitClosed = 0;
  private mirrored = 0;
  private lagSumMs = 0;
  private lagMaxMs = 0;
  private readonly decisions = new Map<string, Map<string, { allowed: number; refused: number }>>();

  addLag(lagMs: number): void {
    this.mirrored++;
    this.lagSumMs += lagMs;
    this.lagMaxMs = Math.max(this.lagMaxMs, lagMs);
  }

  addDecisions(policy: string, source: string, allowed: number, refused: number): void {
    let bySource = this.decisions.get(policy);
    if (!bySource) this.decisions.set(policy, (bySource = new Map()));
    let counts = bySource.get(source);
    if (!counts) bySource.set(source, (counts = { allowed: 0, refused: 0 }));
    counts.allowed += allowed;
    counts.refused += refused;
  }

  add(other: Counters): void {
    this.hits += other.hits;
    this.misses += other.misses;
    this.fallbacks += other.fallbacks;
    this.circuitOpened += other.circuitOpened;
    this.circuitClosed += other.circuitClosed;
    this.mirrored += other.mirrored;
    this.lagSumMs += other.lagSumMs;
    this.lagMaxMs = Math.max(this.lagMaxMs, other.lagMaxMs);
    for (const [policy, bySource] of other.decisions)
      for (const [source, { allowed, refused }] of bySource)
        this.addDecisions(policy, source, allowed, refused);
  }

  counts(): MetricCounts {
    let rateLimitAllowed = 0;
    let rateLimitRefused = 0;
    let rateLimitFallbacks = 0;
    for (const bySource of this.decisions.values())
      for (const [source, { allowed, refused }] of bySource) {
        rateLimitAllowed += allowed;
        rateLimitRefused += refused;
        if (source !== "redis") rateLimitFallbacks += allowed + refused;
      }
    return {
      hits: this.hits,
      misses: this.misses,
      fallbacks: this.fallbacks,
      mirrored: this.mirrored,
      mirrorLagMeanMs: this.mirrored === 0 ? 0 : Math.round(this.lagSumMs / this.mirrored),
      mirrorLagMaxMs: this.lagMaxMs,
      rateLimitAllowed,
      rateLimitRefused,
      rateLimitFallbacks,
      circuitOpened: this.circuitOpened,
      circuitClosed: this.circuitClosed,
      decisions: Object.fromEntries(
        [...this.decisions].map(([policy, bySource]) => [
          policy,
          Object.fromEntries([...bySource].map(([source, counts]) => [source, { ...counts }])),
        ]),
      ),
    };
  }
}
