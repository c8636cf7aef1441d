import { EventEmitter } from "node:events";

/** A quota that was checked or consumed: how the call came, who answered, and how long it took. */
export interface QuotaCall {
  readonly way: "in-process" | "callable";
  readonly source: "redis" | "firestore";
  readonly ms: number;
}

/** A request that was decided under a rate limit's policy. */
export interface PolicyDecision {
  readonly policy: string;
  readonly source: "redis" | "local" | "open" | "closed";
  readonly allowed: boolean;
}

/** Told of every call that the demo's steps and its load make, for whoever wants to see them. */
export const measured = new EventEmitter<{ quotaCall: [QuotaCall]; decision: [PolicyDecision] }>();
