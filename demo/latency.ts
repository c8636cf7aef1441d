/** The distribution of some durations in milliseconds. */
export interface Latency {
  readonly count: number;
  readonly p50: number;
  readonly p95: number;
  readonly max: number;
}

/** Sums durations up by the nearest-rank method; of none at all every number is NaN. */
export function summarize(durationsMs: readonly number[]): Latency {
  const sorted = durationsMs.toSorted((left, right) => left - right);
  const rank = (share: number): number => sorted[Math.ceil(share * sorted.length) - 1] ?? NaN;
  return { count: sorted.length, p50: rank(0.5), p95: rank(0.95), max: rank(1) };
}

/** Shows a duration in three digits or so: `0.42 ms`, `18.3 ms`, `210 ms`, `4.2 s`. */
export function formatMs(ms: number): string {
  if (Number.isNaN(ms)) return "none";
  if (ms >= 1_000) return `${(ms / 1_000).toFixed(1)} s`;
  return `${ms.toFixed(ms < 10 ? 2 : ms < 100 ? 1 : 0)} ms`;
}
