import * as v from "valibot";

import type { Context } from "../context";
import type { Metrics, Unsynced } from "../observability/metrics";
import { onlyFields } from "../validation";
import { answerCall, parseInput } from "./callable";
import { requireAdmin, requireAppCheck, type Call } from "./caller";

const inputSchema = v.nullish(onlyFields({}, "nothing"));

/** How an installation is doing. */
export interface Status {
  readonly mode: "firestore" | "dual-write" | "redis-primary";
  readonly redis: Awaited<ReturnType<Context["redisProbe"]["status"]>>;
  /** Usage that Firestore lacks; null while Redis cannot tell. */
  readonly unsynced: Unsynced | null;
  /** What the instance that answers has counted since it started; others have counts of their own. */
  readonly instance: ReturnType<Metrics["counts"]>;
}

/** Tells an administrator how Redis and the sync are doing. That Redis is away is an answer, and no error. */
export function getStatus(call: Call, context: () => Context): Promise<Status> {
  return answerCall(async () => {
    const { config, metrics, redisProbe, quotaSync } = context();
    requireAppCheck(call, config.enforceAppCheck);
    requireAdmin(call, config.adminClaim);
    parseInput(inputSchema, call.data);
    const redis = await redisProbe.status();
    const unsynced = redis.reachable ? await quotaSync.unsyncedIfKnown() : null;
    return { mode: config.quota.mode, redis, unsynced, instance: metrics.counts() };
  });
}
