import { onCall } from "firebase-functions/v2/https";

import { context } from "../../context";
import { checkQuota as answerCheckQuota } from "../../handlers/check-quota";
import { checkRateLimit as answerCheckRateLimit } from "../../handlers/check-rate-limit";
import { consumeQuota as answerConsumeQuota } from "../../handlers/consume-quota";
import { getStatus as answerGetStatus } from "../../handlers/get-status";
import { CALLABLE } from "./options";

export const checkQuota = onCall(CALLABLE, (call) => answerCheckQuota(call, context));

export const consumeQuota = onCall(CALLABLE, (call) => answerConsumeQuota(call, context));

export const checkRateLimit = onCall(CALLABLE, (call) => answerCheckRateLimit(call, context));

export const getStatus = onCall(CALLABLE, (call) => answerGetStatus(call, context));
