import { LRUCache } from "lru-cache";

import { lazily } from "../lazily";
import { decide, type Decision, type RateLimitRequest } from "./decision";
import {
  advance,
  charge,
  emptyEntry,
  neededUntilMs,
  type RateLimitEntry,
  type SubjectLimits,
} from "./limit-algorithms";
import type { RateLimitStore } from "./rate-limit-store";

/** Subjects remembered at most; under more than that, the least recently seen start anew. */
const MAX_ENTRIES = 50_000;

/** Counts in this process only: each instance allows the whole limit by itself. */
export class LocalRateLimitStore implements RateLimitStore {
  /** Room for all is made at once, which takes milliseconds and a megabyte: not while Redis decides. */
  private readonly entries = lazily(() => new LRUCache<string, RateLimitEntry>({ max: MAX_ENTRIES }));

  /** @param source what decisions say of who decided */
  constructor(
    private readonly now: () => number = Date.now,
    private readonly source: "local" | "redis" = "local",
  ) {}

  take(limits: SubjectLimits, subject: string, request: RateLimitRequest): Promise<Decision> {
    const nowMs = this.now();
    const entry = this.entry(limits, subject, nowMs);
    const decision = decide(limits, entry, request, nowMs, this.source);
    if (decision.allowed && !request.peek) this.keep(limits, subject, entry, nowMs);
    return Promise.resolve(decision);
  }

  refund(limits: SubjectLimits, subject: string, cost: number): Promise<void> {
    const nowMs = this.now();
    const entry = this.entry(limits, subject, nowMs);
    charge(limits, entry, -cost);
    this.keep(limits, subject, entry, nowMs);
    return Promise.resolve();
  }

  reset(limits: SubjectLimits, subject: string): Promise<void> {
    this.entries().delete(keyOf(limits, subject));
    return Promise.resolve();
  }

  block(limits: SubjectLimits, subject: string, untilMs: number): Promise<void> {
    const nowMs = this.now();
    const entry = this.entry(limits, subject, nowMs);
    entry[0] = untilMs;
    this.keep(limits, subject, entry, nowMs);
    return Promise.resolve();
  }

  private entry(limits: SubjectLimits, subject: string, nowMs: number): RateLimitEntry {
    // A copy: a request that is not counted changes nothing.
    const entry = this.entries().get(keyOf(limits, subject))?.slice() ?? emptyEntry(limits);
    advance(limits, entry, nowMs);
    return entry;
  }

  private keep(limits: SubjectLimits, subject: string, entry: RateLimitEntry, nowMs: number): void {
    const key = keyOf(limits, subject);
    if (neededUntilMs(limits, entry, nowMs) > nowMs) this.entries().set(key, entry);
    else this.entries().delete(key);
  }
}

function keyOf({ counts, shape }: SubjectLimits, subject: string): string {
  return `${counts}:${shape}:${subject}`;
}
