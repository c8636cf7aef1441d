import { setTimeout as sleep } from "node:timers/promises";

import { checkPolicies } from "../../functions/src/rate-limit/policy";
import type { RedisRateLimitStore } from "../../functions/src/rate-limit/redis-rate-limit-store";
import type { RedisQuotaStore } from "../../functions/src/quota/redis-quota-store";
import { RedisUnavailableError } from "../../functions/src/redis/connection";

/** What became of the calls for one id. */
export interface Tally {
  accepted: number;
  refused: number;
  /** Redis gave no answer; of these, it certainly did nothing. */
  failed: number;
  /** Redis gave no answer, and may have counted the call. */
  unknown: number;
  slowestMs: number;
  /** When Redis last gave no answer (`performance.now()`), and when it then gave one. */
  lastFailureMs: number;
  lastAnswerMs: number;
}

export interface Load {
  readonly tallies: ReadonlyMap<string, Tally>;
  /** Ends the load, and comes back when all calls are answered. */
  stop(): Promise<void>;
}

/** Has callers ask one after the other, each for one of the ids at a time, until it is stopped. */
export function startLoad(
  ids: readonly string[],
  callers: number,
  ask: (id: string) => Promise<"accepted" | "refused">,
): Load {
  const tallies = new Map(
    ids.map((id): [string, Tally] => [
      id,
      { accepted: 0, refused: 0, failed: 0, unknown: 0, slowestMs: 0, lastFailureMs: 0, lastAnswerMs: 0 },
    ]),
  );
  let stopped = false;
  const call = async (caller: number) => {
    for (let i = caller; !stopped; i += callers) {
      const id = ids[i % ids.length]!;
      const tally = tallies.get(id)!;
      const startedMs = performance.now();
      try {
        tally[await ask(id)]++;
        tally.lastAnswerMs = performance.now();
      } catch (error) {
        if (!(error instanceof RedisUnavailableError)) throw error;
        tally[error.outcome === "unknown" ? "unknown" : "failed"]++;
        tally.lastFailureMs = performance.now();
      }
      tally.slowestMs = Math.max(tally.slowestMs, performance.now() - startedMs);
      await sleep(1);
    }
  };
  const calls = Array.from({ length: callers }, (_, caller) => call(caller));
  return {
    tallies,
    async stop() {
      stopped = true;
      await Promise.all(calls);
    },
  };
}

/** Consumes 1 of a provider's quota. */
export const consumeOne = (store: RedisQuotaStore) => async (providerId: string) => {
  const { kind } = await store.consume({ providerId, cost: 1 });
  if (kind === "miss" || kind === "key-reused") throw new Error(`the quota of ${providerId} is gone`);
  return kind;
};

/** Takes 1 of a subject's limit. */
export const takeOne = (store: RedisRateLimitStore, limit: number) => {
  const { limits } = checkPolicies([
    { name: "p", by: "uid", limits: [{ algorithm: "fixed-window", limit, window: "24 h" }] },
  ])[0]!;
  return async (subject: string) =>
    (await store.take(limits, subject, { cost: 1, peek: false })).allowed ? "accepted" : "refused";
};

/** The sum over all ids. */
export function total(tallies: Iterable<Tally>, field: keyof Tally): number {
  let sum = 0;
  for (const tally of tallies) sum += tally[field];
  return sum;
}
