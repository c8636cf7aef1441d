import * as v from "valibot";

import type { Context } from "../context";
import type { QuotaConsumption } from "../quota/quota-service";
import { onlyFields } from "../validation";
import { answerCall, parseInput } from "./callable";
import { requireAppCheck, requireOwnerOrAdmin, type Call } from "./caller";

const inputSchema = onlyFields(
  {
    providerId: v.string("a string"),
    cost: v.optional(v.number("a whole number, 1 or more"), 1),
    idempotencyKey: v.optional(v.string("a string")),
  },
  "an object with only providerId, cost and idempotencyKey",
);

/** Counts a call of a provider, for the provider itself or an administrator, if its quota allows it. */
export function consumeQuota(call: Call, context: () => Context): Promise<QuotaConsumption> {
  return answerCall(async () => {
    const { config, quotaService } = context();
    requireAppCheck(call, config.enforceAppCheck);
    const { providerId, ...options } = parseInput(inputSchema, call.data);
    requireOwnerOrAdmin(call, providerId, config.adminClaim);
    return quotaService.consume(providerId, options);
  });
}
