import { LRUCache } from "lru-cache";

import { parseArgument, readOptions } from "../validation";
import type { Algorithm, SubjectLimits } from "./limit-algorithms";
import { compilePolicy, limitSchema, onRedisFailureSchema, type Policy } from "./policy";

/** A limit that server code passes in place of a policy's name. */
export interface InlineLimit {
  /** `sliding-window` by default. */
  readonly algorithm?: Algorithm;
  /** Cost allowed per window: a whole number, 0 or more. 0 denies all. */
  readonly limit: number;
  /** A duration such as `"10 s"`, `"1 m"`, `"12 h"`, `"1 d"` or `"1 w"`, or milliseconds; at most 366 days. */
  readonly window?: string | number;
  /** Another name of `window`. */
  readonly windowMs?: string | number;
  /** Cost that a token bucket allows at once: `limit` by default. */
  readonly burst?: number;
  /** What decides while Redis is unavailable: `local` by default. */
  readonly onRedisFailure?: SubjectLimits["onRedisFailure"];
}

const FIELDS = ["algorithm", "limit", "window", "windowMs", "burst", "onRedisFailure"] as const;

/** Name of all inline limits in logs and metrics. No policy can have it. */
const NAME = "(inline)";

/** Compiled limits that are kept at most: code can compute limits, such as one for each plan. */
const MAX_COMPILED = 1000;

/** Compiles inline limits to policies. Keeps them, because only requests with the same policy object share a batch. */
export class InlineLimits {
  private readonly compiled = new LRUCache<string, Policy>({ max: MAX_COMPILED });

  /** @throws InvalidArgumentError */
  policyOf(limit: InlineLimit): Policy {
    const fields = readOptions(limit, FIELDS, "policy");
    const key = FIELDS.map((name) => textOf(fields[name])).join("\n");
    let policy = this.compiled.get(key);
    if (policy === undefined) this.compiled.set(key, (policy = compile(fields)));
    return policy;
  }
}

/** Text that differs for any two valid values, and for a valid and an invalid one. */
function textOf(value: unknown): string {
  return typeof value === "string" || typeof value === "number" ? `${typeof value} ${value}` : typeof value;
}

function compile({ algorithm = "sliding-window", onRedisFailure, ...given }: Partial<InlineLimit>): Policy {
  const names = { whole: "policy", prefix: "policy" };
  const limit = parseArgument(limitSchema, { algorithm, ...given }, names);
  const { windowMs, capacity } = limit;
  return compilePolicy({
    name: NAME,
    // All processes have the same name for the counts of the same limit.
    counts: `(${algorithm}/${limit.limit}/${capacity}/${windowMs})`,
    by: "subject",
    subnets: undefined,
    onRedisFailure: parseArgument(onRedisFailureSchema, onRedisFailure, { whole: "policy.onRedisFailure" }),
    maxCost: 1,
    limits: [limit],
    overrides: [],
  });
}
