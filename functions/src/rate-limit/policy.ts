import * as z from "zod";

import { CALLERS_NAME, describeIssues, show } from "../validation";
import { shapeOf, type Limit, type SubjectLimits } from "./limit-algorithms";

const DAY_MS = 24 * 60 * 60 * 1000;
const MAX_WINDOW_MS = 366 * DAY_MS;
/** A limit times its window is counted in a double. */
const MAX_PRODUCT = 2 ** 52;
const MAX_OVERRIDES = 1000;

const UNIT_MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: DAY_MS } as const;
const DURATION = /^(\d{1,11}) ?(ms|s|m|h|d)$/;

const WINDOW = 'a duration such as "10 s", "1 m", "12 h" or "1 d", or milliseconds; from 1 ms to 366 days';
const windowSchema = z
  .union(
    [
      z.int(),
      z
        .string()
        .regex(DURATION)
        .transform((text) => {
          const [, count, unit] = DURATION.exec(text)!;
          return Number(count) * UNIT_MS[unit as keyof typeof UNIT_MS];
        }),
    ],
    WINDOW,
  )
  .refine((ms) => ms >= 1 && ms <= MAX_WINDOW_MS, WINDOW);

const COUNT = "a whole number, 0 or more";
const countSchema = z.int(COUNT).min(0, COUNT);

const limitSchema = z
  .strictObject(
    {
      algorithm: z.enum(
        ["fixed-window", "sliding-window", "token-bucket"],
        "fixed-window, sliding-window or token-bucket",
      ),
      limit: countSchema,
      window: windowSchema.optional(),
      windowMs: windowSchema.optional(),
      burst: countSchema.optional(),
    },
    "a limit with only algorithm, limit, window and burst",
  )
  .refine(({ window, windowMs }) => (window === undefined) !== (windowMs === undefined), {
    error: "one of window and windowMs",
    path: ["window"],
  })
  .refine(({ algorithm, burst }) => burst === undefined || algorithm === "token-bucket", {
    error: "burst with token-bucket only",
    path: ["burst"],
  })
  .transform(({ algorithm, limit, window, windowMs, burst }) => ({
    algorithm,
    limit,
    windowMs: (window ?? windowMs)!,
    capacity: limit === 0 ? 0 : (burst ?? limit),
  }))
  .refine(({ limit, capacity, windowMs }) => Math.max(limit, capacity) * windowMs <= MAX_PRODUCT, {
    error: "at most 2^52 for limit or burst times window in milliseconds",
    path: ["limit"],
  });

const SUBJECT = "1 to 256 characters without control characters";
const BLOCKED_UNTIL = "a time such as 2026-12-31T00:00:00Z, or a Firestore timestamp";
const timeSchema = z.union(
  [
    z.iso.datetime({ offset: true }).transform((time) => Date.parse(time)),
    z
      .custom<{ toMillis(): number }>(
        (value) => typeof (value as { toMillis?: unknown })?.toMillis === "function",
      )
      .transform((time) => time.toMillis()),
  ],
  BLOCKED_UNTIL,
);
const overrideSchema = z.strictObject(
  {
    subject: z.string(SUBJECT).regex(CALLERS_NAME, SUBJECT),
    limits: z.array(countSchema, "an array of whole numbers, one for each limit of the policy").optional(),
    blockedUntil: timeSchema.optional(),
  },
  "an override with only subject, limits and blockedUntil",
);

const NAME = "a name of 1 to 64 letters, digits, hyphens or underscores";
const OVERRIDES = `an array of at most ${MAX_OVERRIDES} overrides`;
const policySchema = z
  .strictObject(
    {
      name: z.string(NAME).regex(/^[A-Za-z0-9_-]{1,64}$/, NAME),
      by: z.enum(["uid", "ip", "app", "subject", "global"], "uid, ip, app, subject or global"),
      limits: z
        .array(limitSchema, "an array of 1 to 8 limits")
        .min(1, "an array of 1 to 8 limits")
        .max(8, "an array of 1 to 8 limits")
        .refine(
          (limits) =>
            new Set(limits.map(({ algorithm, windowMs }) => `${algorithm} ${windowMs}`)).size ===
            limits.length,
          "each algorithm and window once",
        ),
      onRedisFailure: z.enum(["local", "open", "closed"], "local, open or closed").default("local"),
      overrides: z
        .array(overrideSchema, OVERRIDES)
        .max(MAX_OVERRIDES, OVERRIDES)
        .refine(
          (overrides) => new Set(overrides.map(({ subject }) => subject)).size === overrides.length,
          "each subject once",
        )
        .default([]),
    },
    "a policy with only name, by, limits, onRedisFailure and overrides",
  )
  .superRefine(({ limits, overrides }, context) => {
    for (const [i, override] of overrides.entries()) {
      if (override.limits === undefined) continue;
      const add = (message: string) =>
        context.addIssue({ code: "custom", message, path: ["overrides", i, "limits"] });
      if (override.limits.length !== limits.length)
        add(`${limits.length} whole numbers, one for each limit of the policy`);
      else if (override.limits.some((limit, j) => limit * limits[j]!.windowMs > MAX_PRODUCT))
        add("at most 2^52 for a limit times its window in milliseconds");
    }
  });

const policiesSchema = z
  .array(policySchema, "a JSON array of policies")
  .refine(
    (policies) => new Set(policies.map(({ name }) => name)).size === policies.length,
    "each policy name once",
  );

/** Who is limited: the signed-in user, the caller's IP address or App Check app, a named subject, or all together. */
export type LimitedBy = z.infer<typeof policySchema>["by"];

/** A named set of limits, all of which a request must be within. */
export interface Policy {
  readonly name: string;
  readonly by: LimitedBy;
  /** The limits of subjects without an override. */
  readonly limits: SubjectLimits;
  /** Subjects with limits of their own. */
  readonly overrides: ReadonlyMap<string, SubjectLimits>;
}

/** Where policies come from: the configuration, and documents that may change while this process runs. */
export interface PolicySource {
  /** Resolves within a bounded time, also if documents cannot be read: with what is known. */
  policies(): ReadonlyMap<string, Policy> | Promise<ReadonlyMap<string, Policy>>;
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
 * @throws InvalidPolicies with the path of each bad field, what it got and what is valid.
 */
export function parsePolicies(json: string): Policy[] {
  let input: unknown;
  try {
    input = JSON.parse(json);
  } catch (error) {
    throw new InvalidPolicies([
      `got ${show(json)}; expected a JSON array of policies (${(error as Error).message})`,
    ]);
  }
  return checkPolicies(input);
}

/**
 * Checks policies given as values, as the SDK takes them.
 *
 * @throws InvalidPolicies with the path of each bad field, what it got and what is valid.
 */
export function checkPolicies(input: unknown): Policy[] {
  const result = policiesSchema.safeParse(input);
  if (!result.success) throw new InvalidPolicies(describeIssues(result.error, input));
  return result.data.map(compile);
}

/**
 * Checks one policy, as a document of RATE_LIMIT_POLICY_COLLECTION holds it; its name is the document's id.
 *
 * @throws InvalidPolicies with the path of each bad field, what it got and what is valid.
 */
export function checkPolicy(name: string, fields: Readonly<Record<string, unknown>>): Policy {
  const input = { ...fields, name };
  const result = policySchema.safeParse(input);
  if (!result.success) throw new InvalidPolicies(describeIssues(result.error, input));
  return compile(result.data);
}

type DeepReadonly<T> = { readonly [K in keyof T]: DeepReadonly<T[K]> };

/** What users write: policies in JSON or as values, before the defaults. */
export type PolicyInput = DeepReadonly<z.input<typeof policySchema>>;

function compile({ name, by, onRedisFailure, limits, overrides }: z.infer<typeof policySchema>): Policy {
  const own = overrides.map((override) => limits.map((each, i) => overridden(each, override.limits?.[i])));
  const spansMs = limits.map((each, i) => spanMs([each, ...own.map((those) => those[i]!)]));
  const compiled = (those: readonly Numbers[], blockedUntilMs: number): SubjectLimits => {
    const subjectLimits = those.map((each, i): Limit => ({ ...each, spanMs: spansMs[i]! }));
    // Counts go on when a limit changes, and begin anew when what they count does.
    return {
      policy: name,
      onRedisFailure,
      shape: subjectLimits.map(shapeOf).join("+"),
      blockedUntilMs,
      limits: subjectLimits,
    };
  };
  return {
    name,
    by,
    limits: compiled(limits, 0),
    overrides: new Map(
      overrides.map(({ subject, blockedUntil = 0 }, i) => [subject, compiled(own[i]!, blockedUntil)]),
    ),
  };
}

/** A limit as it is written, for anybody or for one subject. */
type Numbers = z.infer<typeof limitSchema>;

/** A limit with another number; its burst grows and shrinks with it. */
function overridden(each: Numbers, limit = each.limit): Numbers {
  if (limit === each.limit) return each;
  const burst = each.limit === 0 ? limit : Math.ceil((each.capacity / each.limit) * limit);
  const most = Math.floor(MAX_PRODUCT / each.windowMs);
  return { ...each, limit, capacity: Math.min(burst, most) };
}

/** How long what is charged counts at most, by the limits of a policy's subjects. */
function spanMs(limits: readonly Numbers[]): number {
  const windows = limits.map(({ limit, capacity }) => (limit === 0 ? 1 : Math.ceil(capacity / limit)));
  return limits[0]!.windowMs * Math.max(1, ...windows);
}
