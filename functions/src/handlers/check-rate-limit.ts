import * as z from "zod";

import type { Context } from "../context";
import type { Decision } from "../rate-limit/decision";
import { SUBJECT, subjectOf } from "../rate-limit/subject";
import { answerCall, parseInput } from "./callable";
import { callerOf, requireAppCheck, requireUid, type Call } from "./caller";

const inputSchema = z.strictObject(
  {
    policy: z.string("the name of a policy"),
    subject: z.string(SUBJECT).optional(),
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
    // A client may name whom it asks for, but not without saying who it is.
    if (policy.by === "subject") requireUid(call);
    const subject = subjectOf(policy, callerOf(call), input.subject);
    return rateLimiter.decide(policy, subject, { cost: input.cost, peek: input.peek });
  });
}
