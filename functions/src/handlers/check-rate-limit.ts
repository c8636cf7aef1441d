import * as v from "valibot";

import type { Context } from "../context";
import type { Decision } from "../rate-limit/decision";
import { InvalidRateLimitCallError } from "../rate-limit/invalid-call";
import { SUBJECT, subjectOf } from "../rate-limit/subject";
import { onlyFields } from "../validation";
import { answerCall, parseInput } from "./callable";
import { callerOf, requireAppCheck, requireUid, type Call } from "./caller";

const COST = "a whole number, 1 or more";
const inputSchema = onlyFields(
  {
    policy: v.string("the name of a policy"),
    subject: v.optional(v.string(SUBJECT)),
    cost: v.optional(v.pipe(v.number(COST), v.safeInteger(COST), v.minValue(1, COST)), 1),
    peek: v.optional(v.boolean("true or false"), false),
  },
  "an object with only policy, subject, cost and peek",
);

/**
 * Decides one request of a caller by a named policy. The limits and the highest cost are the server's. The subject
 * follows from the caller; only a policy by subject lets the caller name it.
 */
export function checkRateLimit(call: Call, context: () => Context): Promise<Decision> {
  return answerCall(async () => {
    const { config, rateLimiter } = context();
    requireAppCheck(call, config.enforceAppCheck);
    const input = parseInput(inputSchema, call.data);
    const policy = await rateLimiter.policy(input.policy);
    if (input.cost > policy.maxCost) {
      const expected = `at most ${policy.maxCost}, the \`maxCost\` of the policy ${policy.name}`;
      throw new InvalidRateLimitCallError("cost", input.cost, expected);
    }
    // A client may name whom it asks for, but not without saying who it is.
    if (policy.by === "subject") requireUid(call);
    const subject = subjectOf(policy, callerOf(call, rateLimiter), input.subject);
    return rateLimiter.decide(policy, subject, { cost: input.cost, peek: input.peek });
  });
}
