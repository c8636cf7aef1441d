import * as v from "valibot";

import { CALLERS_NAME, formatValue, onlyFields, parse, validationMessage } from "../validation";
import { networkOf, type SubnetLengths } from "./ip-address";
import {
  MAX_COUNT,
  maxCapacity,
  shapeOf,
  timeUnitMs,
  type Algorithm,
  type Limit,
  type SubjectLimits,
} from "./limit-algorithms";

const DAY_MS = 24 * 60 * 60 * 1000;
const MAX_WINDOW_MS = 366 * DAY_MS;
const MAX_OVERRIDES = 1000;

const UNIT_MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: DAY_MS, w: 7 * DAY_MS } as const;
const DURATION = /^(\d{1,11}) ?(ms|s|m|h|d|w)$/;

const WINDOW =
  'a duration such as "10 s", "1 m", "12 h", "1 d" or "1 w", or milliseconds; from 1 ms to 366 days';
const windowSchema = v.pipe(
  v.union(
    [
      v.number(),
      v.pipe(
        v.string(),
        v.regex(DURATION, WINDOW),
        v.transform((text) => {
          const [, count, unit] = DURATION.exec(text)!;
          return Number(count) * UNIT_MS[unit as keyof typeof UNIT_MS];
        }),
      ),
    ],
    WINDOW,
  ),
  v.safeInteger(WINDOW),
  v.minValue(1, WINDOW),
  v.maxValue(MAX_WINDOW_MS, WINDOW),
);

const COUNT = "a whole number, 0 or more";
const countSchema = v.pipe(v.number(COUNT), v.safeInteger(COUNT), v.minValue(0, COUNT));

const MAX_COST = "a whole number, 1 or more";

/** One limit. */
export const limitSchema = v.pipe(
  onlyFields(
    {
      algorithm: v.picklist(
        ["fixed-window", "sliding-window", "token-bucket"],
        "fixed-window, sliding-window or token-bucket",
      ),
      limit: countSchema,
      window: v.optional(windowSchema),
      windowMs: v.optional(windowSchema),
      burst: v.optional(countSchema),
    },
    "a limit with only algorithm, limit, window and burst",
  ),
  v.forward(
    v.check(
      ({ window, windowMs }) => (window === undefined) !== (windowMs === undefined),
      "set, unless windowMs is set instead",
    ),
    ["window"],
  ),
  v.forward(
    v.check(
      ({ algorithm, burst }) => burst === undefined || algorithm === "token-bucket",
      "unset, unless the algorithm is token-bucket",
    ),
    ["burst"],
  ),
  v.transform(({ algorithm, limit, window, windowMs, burst }) => ({
    algorithm,
    limit,
    windowMs: (window ?? windowMs)!,
    burst,
  })),
  v.forward(
    v.check(
      ({ algorithm, limit, windowMs }) => limit <= maxCapacity(algorithm, windowMs),
      ({ input: { algorithm, windowMs } }) => mostOf(algorithm, windowMs),
    ),
    ["limit"],
  ),
  v.forward(
    v.check(
      ({ algorithm, burst = 0, windowMs }) => burst <= maxCapacity(algorithm, windowMs),
      ({ input: { algorithm, windowMs } }) => mostOf(algorithm, windowMs),
    ),
    ["burst"],
  ),
  v.forward(
    v.check(
      ({ limit, burst = limit, windowMs }) => windowsToFill(limit, burst) * windowMs <= MAX_COUNT,
      ({ input: { limit, windowMs } }) =>
        `at most ${Math.floor(MAX_COUNT / windowMs) * limit}, so that the limit refills it within 2^52 ms`,
    ),
    ["burst"],
  ),
  v.transform(({ burst, ...each }) => ({
    ...each,
    capacity: each.limit === 0 ? 0 : (burst ?? each.limit),
  })),
);

/** The valid numbers of a limit or burst. */
function mostOf(algorithm: Algorithm, windowMs: number): string {
  return `at most ${maxCapacity(algorithm, windowMs)} for a window of ${windowMs} ms`;
}

const SUBJECT = "1 to 256 characters without control characters";
const TIME = /^(\d{4}-\d\d-\d\d)T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/;
const BLOCKED_UNTIL = "a time such as 2026-12-31T00:00:00Z, or a Firestore timestamp";
const timeSchema = v.union(
  [
    v.pipe(
      v.string(),
      v.check(isTime, BLOCKED_UNTIL),
      v.transform((time) => Date.parse(time)),
    ),
    v.pipe(
      v.custom<{ toMillis(): number }>(
        (value) => typeof (value as { toMillis?: unknown } | null)?.toMillis === "function",
      ),
      v.transform((time) => time.toMillis()),
    ),
  ],
  BLOCKED_UNTIL,
);
const overrideSchema = onlyFields(
  {
    subject: v.pipe(v.string(SUBJECT), v.regex(CALLERS_NAME, SUBJECT)),
    limits: v.optional(v.array(countSchema, "an array of whole numbers, one for each limit of the policy")),
    blockedUntil: v.optional(timeSchema),
  },
  "an override with only subject, limits and blockedUntil",
);

const IPV4_SUBNET = "a prefix length from 8 to 32, for a policy by ip only";
const IPV6_SUBNET = "a prefix length from 32 to 128, for a policy by ip only";

export const onRedisFailureSchema = v.optional(
  v.picklist(["local", "open", "closed"], "local, open or closed"),
  "local",
);

const NAME = "a name of 1 to 64 letters, digits, hyphens or underscores";
const LIMITS = "an array of 1 to 8 limits";
const OVERRIDES = `an array of at most ${MAX_OVERRIDES} overrides`;
const policySchema = v.pipe(
  onlyFields(
    {
      name: v.pipe(v.string(NAME), v.regex(/^[A-Za-z0-9_-]{1,64}$/, NAME)),
      by: v.picklist(["uid", "ip", "app", "subject", "global"], "uid, ip, app, subject or global"),
      limits: v.pipe(
        v.array(limitSchema, LIMITS),
        v.minLength(1, LIMITS),
        v.maxLength(8, LIMITS),
        v.check(
          (limits) => isEachOnce(limits, ({ algorithm, windowMs }) => `${algorithm} ${windowMs}`),
          "limits that differ in algorithm or window",
        ),
      ),
      ipv4Subnet: v.optional(prefixLengthSchema(8, 32, IPV4_SUBNET)),
      ipv6Subnet: v.optional(prefixLengthSchema(32, 128, IPV6_SUBNET)),
      onRedisFailure: onRedisFailureSchema,
      maxCost: v.optional(v.pipe(v.number(MAX_COST), v.safeInteger(MAX_COST), v.minValue(1, MAX_COST)), 1),
      overrides: v.optional(
        v.pipe(v.array(overrideSchema, OVERRIDES), v.maxLength(MAX_OVERRIDES, OVERRIDES)),
        [],
      ),
    },
    "a policy with only name, by, limits, ipv4Subnet, ipv6Subnet, onRedisFailure, maxCost and overrides",
  ),
  v.forward(
    v.check(({ by, ipv4Subnet }) => by === "ip" || ipv4Subnet === undefined, IPV4_SUBNET),
    ["ipv4Subnet"],
  ),
  v.forward(
    v.check(({ by, ipv6Subnet }) => by === "ip" || ipv6Subnet === undefined, IPV6_SUBNET),
    ["ipv6Subnet"],
  ),
  v.transform(({ ipv4Subnet: ipv4 = 32, ipv6Subnet: ipv6 = 64, ...policy }) => ({
    ...policy,
    subnets: policy.by === "ip" ? { ipv4, ipv6 } : undefined,
  })),
  v.forward(
    v.check(
      ({ overrides, subnets }) => isEachOnce(overrides, ({ subject }) => countedAs(subject, subnets)),
      "overrides of different subjects",
    ),
    ["overrides"],
  ),
  v.rawCheck(({ dataset, addIssue }) => {
    if (!dataset.typed) return;
    const { limits, overrides } = dataset.value;
    for (const [i, override] of overrides.entries()) {
      const own = override.limits;
      if (own === undefined) continue;
      const path: [v.IssuePathItem, ...v.IssuePathItem[]] = [
        { type: "object", origin: "value", input: dataset.value, key: "overrides", value: overrides },
        { type: "array", origin: "value", input: overrides, key: i, value: override },
        { type: "object", origin: "value", input: { ...override }, key: "limits", value: own },
      ];
      if (own.length !== limits.length)
        addIssue({ message: `${limits.length} whole numbers, one for each limit of the policy`, path });
      else
        for (const [j, { algorithm, windowMs }] of limits.entries())
          if (own[j]! > maxCapacity(algorithm, windowMs))
            addIssue({
              message: mostOf(algorithm, windowMs),
              path: [...path, { type: "array", origin: "value", input: own, key: j, value: own[j] }],
            });
    }
  }),
);

const policiesSchema = v.pipe(
  v.array(policySchema, "an array of policies"),
  v.check((policies) => isEachOnce(policies, ({ name }) => name), "policies with different names"),
);

/** A subject may be an API key. */
const REDACTED = ["subject", "overrides"];

function prefixLengthSchema(least: number, most: number, what: string) {
  return v.pipe(v.number(what), v.safeInteger(what), v.minValue(least, what), v.maxValue(most, what));
}

function isEachOnce<T>(items: readonly T[], keyOf: (item: T) => string): boolean {
  return new Set(items.map(keyOf)).size === items.length;
}

/** Whether a text is a time of RFC 3339, of a day that its month has: Date.parse takes more. */
function isTime(text: string): boolean {
  const [, day] = TIME.exec(text) ?? [];
  if (day === undefined || Number.isNaN(Date.parse(text))) return false;
  return new Date(`${day}T00:00:00Z`).toISOString().startsWith(day);
}

/** Who is limited: the signed-in user, the caller's IP address or App Check app, a named subject, or all together. */
export type LimitedBy = v.InferOutput<typeof policySchema>["by"];

/** A named set of limits, all of which a request must be within. */
export interface Policy {
  readonly name: string;
  readonly by: LimitedBy;
  /** The highest cost of a call by a client. Server code can charge more. */
  readonly maxCost: number;
  /** Of a policy by IP address: the networks that are counted as one client. */
  readonly subnets: SubnetLengths | undefined;
  /** The limits of subjects without an override. */
  readonly limits: SubjectLimits;
  /** Subjects with limits of their own. */
  readonly overrides: ReadonlyMap<string, SubjectLimits>;
}

/** The subject that a policy counts for a name: of an IP address, its network under a policy by IP address. */
export function countedAs(subject: string, subnets: SubnetLengths | undefined): string {
  return subnets === undefined ? subject : (networkOf(subject, subnets) ?? subject);
}

/** The limits of a subject, by the name that {@link countedAs} gives it. */
export function limitsOf({ overrides, limits }: Policy, counted: string): SubjectLimits {
  return overrides.get(counted) ?? limits;
}

/** The policies contain errors; `problems` has one line for each. */
export class InvalidPolicies extends Error {
  override readonly name = "InvalidPolicies";

  constructor(readonly problems: readonly string[]) {
    super(problems.join("\n"));
  }
}

/**
 * Parses a JSON array of policies.
 *
 * @param source the policies' name in messages
 * @throws InvalidPolicies with the path of each bad field, what it got and what is valid.
 */
export function parsePolicies(json: string, source = "policies"): Policy[] {
  let input: unknown;
  try {
    input = JSON.parse(json);
  } catch (error) {
    const got = `${formatValue(json)} (${(error as Error).message})`;
    throw new InvalidPolicies([validationMessage(source, "a JSON array of policies", got)]);
  }
  return checkPolicies(input, source);
}

/**
 * Checks policies given as values, as the SDK takes them.
 *
 * @throws InvalidPolicies with the path of each bad field, what it got and what is valid.
 */
export function checkPolicies(input: unknown, source = "policies"): Policy[] {
  const result = parse(policiesSchema, input, { whole: source, prefix: source, redacted: REDACTED });
  if ("problems" in result) throw new InvalidPolicies(result.problems);
  return result.output.map(compilePolicy);
}

/**
 * Checks one policy, as a document of RATE_LIMIT_POLICY_COLLECTION holds it; its name is the document's id.
 *
 * @throws InvalidPolicies with the path of each bad field, what it got and what is valid.
 */
export function checkPolicy(name: string, fields: Readonly<Record<string, unknown>>): Policy {
  const result = parse(policySchema, { ...fields, name }, { whole: "policy", redacted: REDACTED });
  if ("problems" in result) throw new InvalidPolicies(result.problems);
  return compilePolicy(result.output);
}

const compiledPolicies = new WeakSet<object>();

/** Whether a value is a policy that was parsed here. */
export function isPolicy(value: unknown): value is Policy {
  return typeof value === "object" && value !== null && compiledPolicies.has(value);
}

type DeepReadonly<T> = { readonly [K in keyof T]: DeepReadonly<T[K]> };

/** What users write: policies in JSON or as values, before the defaults. */
export type PolicyInput = DeepReadonly<v.InferInput<typeof policySchema>>;

/** Compiles a checked policy. Its counts are named `counts`: by default as the policy. */
export function compilePolicy({
  name,
  counts = name,
  by,
  subnets,
  onRedisFailure,
  maxCost,
  limits,
  overrides,
}: v.InferOutput<typeof policySchema> & { readonly counts?: string }): Policy {
  const own = overrides.map((override) => limits.map((each, i) => overridden(each, override.limits?.[i])));
  const spansMs = limits.map((each, i) => spanMs([each, ...own.map((those) => those[i]!)]));
  const compiled = (those: readonly Numbers[], blockedUntilMs: number): SubjectLimits => {
    const subjectLimits = those.map((each, i): Limit => ({
      ...each,
      spanMs: spansMs[i]!,
      unitMs: timeUnitMs(each),
    }));
    // Counts go on when a limit changes, and begin anew when what they count does.
    return {
      policy: name,
      counts,
      onRedisFailure,
      shape: subjectLimits.map(shapeOf).join("+"),
      blockedUntilMs,
      limits: subjectLimits,
    };
  };
  const policy: Policy = {
    name,
    by,
    maxCost,
    subnets,
    limits: compiled(limits, 0),
    overrides: new Map(
      overrides.map(({ subject, blockedUntil = 0 }, i) => [
        countedAs(subject, subnets),
        compiled(own[i]!, blockedUntil),
      ]),
    ),
  };
  compiledPolicies.add(policy);
  return policy;
}

/** A limit as it is written, for anybody or for one subject. */
type Numbers = Omit<Limit, "spanMs" | "unitMs">;

/** A limit with another number; its burst grows and shrinks with it. */
function overridden(each: Numbers, limit = each.limit): Numbers {
  if (limit === each.limit) return each;
  const burst = each.limit === 0 ? limit : Math.ceil((each.capacity / each.limit) * limit);
  return { ...each, limit, capacity: Math.min(burst, maxCapacity(each.algorithm, each.windowMs)) };
}

/** How long what is charged counts at most, by the limits of a policy's subjects. */
function spanMs(limits: readonly Numbers[]): number {
  const windows = limits.map(({ limit, capacity }) => windowsToFill(limit, capacity));
  return limits[0]!.windowMs * Math.max(...windows);
}

/** In how many windows an empty bucket fills. */
function windowsToFill(limit: number, capacity: number): number {
  return limit === 0 ? 1 : Math.max(1, Math.ceil(capacity / limit));
}
