import * as v from "valibot";

import type { Context } from "../context";
import type { QuotaCheck } from "../quota/quota-service";
import { onlyFields } from "../validation";
import { answerCall, parseInput } from "./callable";
import { requireAppCheck, requireOwnerOrAdmin, requireUid, type Call } from "./caller";

const inputSchema = onlyFields({ providerId: v.string("a string") }, "an object with only providerId");

/** Returns whether a provider has quota left, for callers that CHECK_ACCESS allows. */
export function checkQuota(call: Call, context: () => Context): Promise<QuotaCheck> {
  return answerCall(async () => {
    const { config, quotaService } = context();
    requireAppCheck(call, config.enforceAppCheck);
    requireUid(call);
    const { providerId } = parseInput(inputSchema, call.data);
    if (config.checkAccess === "owner") requireOwnerOrAdmin(call, providerId, config.adminClaim);
    return quotaService.check(providerId);
  });
}
