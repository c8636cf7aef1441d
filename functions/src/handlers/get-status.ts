import * as v from "valibot";

import { ConfigError } from "../config/config";
import type { Context } from "../context";
import type { Metrics, Unsynced } from "../observability/metrics";
import { onlyFields } from "../validation";
import { answerCall, parseInput } from "./callable";
import { requireAdmin, requireAppCheck, type Call } from "./caller";

const inputSchema = v.nullish(onlyFields({}, "nothing"));

/** How an installation is doing. */
export interface Status {
  readonly mode: "firestore" | "dual-write" | "redis-primary";
  /** What is wrong with RATE_LIMIT_POLICIES: rate limits fail until it is corrected. Empty if it is valid. */
  readonly policyProblems: readonly string[];
  readonly redis: Awaited<ReturnType<Context["redisProbe"]["status"]>>;
  /** Usage that Firestore lacks; null while Redis cannot tell. */
  readonly unsynced: Unsynced | null;
  /**
   * What the instance that answers has counted since it started. Each deployed function has instances of its own, and
   * this one does nothing but answer getStatus: `all` has what the others count.
   */
  readonly instance: ReturnType<Metrics["counts"]>;
  /**
   * What all instances together have counted in this hour and the one before, as far as they have written it; null
   * while Redis cannot tell.
   */
  readonly all: Awaited<ReturnType<Context["sharedCounts"]["recentIfKnown"]>>;
}

/** Tells an administrator how Redis and the sync are doing. That Redis is away is an answer, and no error. */
export function getStatus(call: Call, context: () => Context): Promise<Status> {
  return answerCall(async () => {
    const { config, metrics, sharedCounts, redisProbe, quotaSync } = context();
    requireAppCheck(call, config.enforceAppCheck);
    requireAdmin(call, config.adminClaim);
    parseInput(inputSchema, call.data);
    const redis = await redisProbe.status();
    const [unsynced, all] = redis.reachable
      ? await Promise.all([quotaSync.unsyncedIfKnown(), sharedCounts.recentIfKnown()])
      : [null, null];
    const { policies } = config.rateLimit;
    return {
      mode: config.quota.mode,
      policyProblems: policies instanceof ConfigError ? policies.problems.map(({ problem }) => problem) : [],
      redis,
      unsynced,
      instance: metrics.counts(),
      all,
    };
  });
}
