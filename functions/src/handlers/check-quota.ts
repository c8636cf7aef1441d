import * as v from "valibot";

import type { Context } from "../context";
import type { QuotaCheck } from "../quota/quota-service";
import { onlyFields } from "../validation";
import { answerCall, parseInput } from "./callable";
import { requireAppCheck, requireUid, type Call } from "./caller";

const inputSchema = onlyFields({ providerId: v.string("a string") }, "an object with only providerId");

/** Tells a signed-in caller whether a provider has quota left. */
export function checkQuota(call: Call, context: () => Context): Promise<QuotaCheck> {
  return answerCall(async () => {
    const { config, quotaService } = context();
    requireAppCheck(call, config.enforceAppCheck);
    requireUid(call);
    const { providerId } = parseInput(inputSchema, call.data);
    return quotaService.check(providerId);
  });
}
