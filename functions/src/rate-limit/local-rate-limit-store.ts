import { LRUCache } from "lru-cache";

import { allows, windowAt, type WindowCount } from "./fixed-window";
import type { Policy } from "./policy";
import type { RateLimitStore, TakeOutcome, TakeRequest } from "./rate-limit-store";

/** Windows remembered at most; under more subjects than that, the least recently seen start anew. */
const MAX_WINDOWS = 50_000;

/** Counts in this process only: each instance allows the whole limit by itself. */
export class LocalRateLimitStore implements RateLimitStore {
  private readonly windows = new LRUCache<string, WindowCount>({ max: MAX_WINDOWS });

  constructor(private readonly now: () => number = Date.now) {}

  take(policy: Policy, { subject, cost, peek }: TakeRequest): Promise<TakeOutcome> {
    const nowMs = this.now();
    const current = policy.limits.map(({ limit, windowMs }) => {
      const key = `${policy.name}:${windowMs}:${subject}`;
      return { key, limit, window: windowAt(this.windows.get(key), windowMs, nowMs) };
    });
    const allowed = current.every(({ limit, window }) => allows(window, limit, cost));
    if (!allowed || peek)
      return Promise.resolve({ allowed, nowMs, windows: current.map(({ window }) => window) });
    const windows = current.map(({ key, window }) => {
      const charged = { ...window, count: window.count + cost };
      this.windows.set(key, charged);
      return charged;
    });
    return Promise.resolve({ allowed, nowMs, windows });
  }
}
