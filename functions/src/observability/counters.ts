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

/** What is counted, as it is added up. */
export class Counters {
  hits = 0;
  misses = 0;
  fallbacks = 0;
  circuitOpened = 0;
  circuitClosed = 0;
  mirrored = 0;
  lagSumMs = 0;
  lagMaxMs = 0;
  /** By policy, and then by source. */
  readonly decisions = new Map<string, Map<string, { allowed: number; refused: number }>>();

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
