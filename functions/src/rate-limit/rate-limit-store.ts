import type { Decision, RateLimitRequest } from "./decision";
import type { SubjectLimits } from "./limit-algorithms";

/** Is told what a store decides, and decides when the store cannot. */
export interface Referee {
  /** @param allowed how many requests alike were allowed, and how many refused */
  decided(
    limits: SubjectLimits,
    request: RateLimitRequest,
    source: Decision["source"],
    allowed: number,
    refused: number,
  ): void;
  /** @param error why the store cannot */
  decideInstead(
    limits: SubjectLimits,
    subject: string,
    request: RateLimitRequest,
    error: Error,
  ): Promise<Decision>;
}

/** Where the counts of subjects are. */
export interface RateLimitStore {
  /** Decides a request, and counts it if it is allowed and no peek. */
  take(limits: SubjectLimits, subject: string, request: RateLimitRequest): Promise<Decision>;
  /** Takes back what was charged, as far as it still counts. */
  refund(limits: SubjectLimits, subject: string, cost: number): Promise<void>;
  /** Forgets what was counted, and a block. */
  reset(limits: SubjectLimits, subject: string): Promise<void>;
  /** Refuses everything until a time (Unix, milliseconds); one that has passed ends a block. */
  block(limits: SubjectLimits, subject: string, untilMs: number): Promise<void>;
}

/** A store that may be away: then the referee decides, and without one it throws. */
export interface SharedRateLimitStore extends RateLimitStore {
  take(
    limits: SubjectLimits,
    subject: string,
    request: RateLimitRequest,
    referee?: Referee,
  ): Promise<Decision>;
}
