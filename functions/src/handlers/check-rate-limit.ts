import { HttpsError } from "firebase-functions/v2/https";
import { z } from "zod";

import type { Context } from "../context";
import type { Decision } from "../rate-limit/decision";
import type { Policy } from "../rate-limit/policy";
import { CALLERS_NAME } from "../validation";
import { answerCall, parseInput } from "./callable";
import { clientIp, requireAppCheck, requireUid, type Call } from "./caller";

const SUBJECT = "1 to 256 characters without control characters, of a policy by subject only";

const inputSchema = z.strictObject(
  {
    policy: z.string("the name of a policy"),
    subject: z.string(SUBJECT).regex(CALLERS_NAME, SUBJECT).optional(),
    cost: z.int("a whole number, 1 or more").min(1, "a whole number, 1 or more").default(1),
    peek: z.boolean("true or false").default(false),
  },
  "an object with only policy, subject, cost and peek",
);

/**
 * Decides one request of a caller by a named policy. The limits are the server's; who is limited follows from the
 * caller, and is named by the caller only where the policy says so.
 */
export function checkRateLimit(call: Call, context: () => Context): Promise<Decision> {
  return answerCall(async () => {
    const { config, rateLimiter } = context();
    requireAppCheck(call, config.enforceAppCheck);
    const input = parseInput(inputSchema, call.data);
    const policy = await rateLimiter.policy(input.policy);
    const subject = subjectOf(call, policy, input.subject);
    return rateLimiter.decide(policy, subject, { cost: input.cost, peek: input.peek });
  });
}

function subjectOf(call: Call, policy: Policy, named: string | undefined): string {
  if (policy.by !== "subject" && named !== undefined) {
    throw new HttpsError(
      "invalid-argument",
      `subject: got ${JSON.stringify(named)}; expected none: the policy ${policy.name} limits by ${policy.by}`,
    );
  }
  switch (policy.by) {
    case "uid":
      return requireUid(call);
    case "ip":
      return clientIp(call);
    case "app":
      if (call.app === undefined)
        throw new HttpsError("unauthenticated", "A valid App Check token is required.");
      return call.app.appId;
    case "subject":
      requireUid(call);
      if (named === undefined)
        throw new HttpsError("invalid-argument", `subject: not set; expected ${SUBJECT}`);
      return named;
    case "global":
      return "global";
  }
}
