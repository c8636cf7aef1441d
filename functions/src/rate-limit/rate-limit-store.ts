import type { WindowCount } from "./fixed-window";
import type { Policy } from "./policy";

/** One request against a policy. `cost` is a positive integer; a `peek` is decided but never counted. */
export interface TakeRequest {
  readonly subject: string;
  readonly cost: number;
  readonly peek: boolean;
}

/** What a store says: whether every limit of the policy allows the request, and each limit's window after it. */
export interface TakeOutcome {
  readonly allowed: boolean;
  readonly nowMs: number;
  readonly windows: readonly WindowCount[];
}

export interface RateLimitStore {
  take(policy: Policy, request: TakeRequest): Promise<TakeOutcome>;
}
