import { z } from "zod";

import { describeIssues, show } from "../validation";

const MAX_WINDOW_MS = 366 * 24 * 60 * 60 * 1000;

const limitSchema = z.strictObject(
  {
    algorithm: z.literal("fixed-window", "fixed-window"),
    /** Requests allowed in one window; 0 refuses all. */
    limit: z.int("a whole number, 0 or more").min(0, "a whole number, 0 or more"),
    /** Length of the window in milliseconds; it starts with its first request. */
    windowMs: z
      .int("a whole number of milliseconds")
      .min(1, "a whole number of milliseconds, 1 or more")
      .max(MAX_WINDOW_MS, "at most 366 days in milliseconds"),
  },
  "a limit with only algorithm, limit and windowMs",
);

const policySchema = z.strictObject(
  {
    name: z
      .string("a name of 1 to 64 letters, digits, hyphens or underscores")
      .regex(/^[A-Za-z0-9_-]{1,64}$/, "a name of 1 to 64 letters, digits, hyphens or underscores"),
    /** Who is limited: the signed-in user, the caller's IP address or App Check app, a named subject, or all together. */
    by: z.enum(["uid", "ip", "app", "subject", "global"], "uid, ip, app, subject or global"),
    limits: z
      .array(limitSchema, "an array of 1 to 8 limits")
      .min(1, "an array of 1 to 8 limits")
      .max(8, "an array of 1 to 8 limits")
      .refine(
        (limits) => new Set(limits.map(({ windowMs }) => windowMs)).size === limits.length,
        "a windowMs at most once",
      ),
    /** What decides when Redis cannot: the same limits counted in this process, everything allowed, or nothing. */
    onRedisFailure: z.enum(["local", "open", "closed"], "local, open or closed").default("local"),
  },
  "a policy with only name, by, limits and onRedisFailure",
);

const policiesSchema = z
  .array(policySchema, "a JSON array of policies")
  .refine(
    (policies) => new Set(policies.map(({ name }) => name)).size === policies.length,
    "each policy name once",
  );

/** A named set of limits, all of which a request must be within. */
export type Policy = z.infer<typeof policySchema>;
export type Limit = Policy["limits"][number];

/** The policies' JSON contains errors; `problems` has one line for each. */
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
  const result = policiesSchema.safeParse(input);
  if (!result.success) throw new InvalidPolicies(describeIssues(result.error, input));
  return result.data;
}
