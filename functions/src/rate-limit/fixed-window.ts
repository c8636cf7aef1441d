/** Requests counted in the current window; `endsAtMs` is Unix time in milliseconds. */
export interface WindowCount {
  readonly count: number;
  readonly endsAtMs: number;
}

/**
 * The window that a request at `nowMs` falls into: the one under way, else a new one, which starts with this request.
 * With {@link allows}, the twin of lua/take-fixed-window.lua; one table of cases runs against both.
 */
export function windowAt(window: WindowCount | undefined, windowMs: number, nowMs: number): WindowCount {
  return window !== undefined && window.endsAtMs > nowMs ? window : { count: 0, endsAtMs: nowMs + windowMs };
}

/** Whether a window has room for a request. */
export function allows(window: WindowCount, limit: number, cost: number): boolean {
  return window.count + cost <= limit;
}
