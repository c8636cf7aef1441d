import { onCall } from "firebase-functions/v2/https";

import { context } from "../../context";
import { checkQuota as answerCheckQuota } from "../../handlers/check-quota";
import { checkRateLimit as answerCheckRateLimit } from "../../handlers/check-rate-limit";
import { consumeQuota as answerConsumeQuota } from "../../handlers/consume-quota";
import { getStatus as answerGetStatus } from "../../handlers/get-status";

export const checkQuota = onCall((call) => answerCheckQuota(call, context));

export const consumeQuota = onCall((call) => answerConsumeQuota(call, context));

export const checkRateLimit = onCall((call) => answerCheckRateLimit(call, context));

export const getStatus = onCall((call) => answerGetStatus(call, context));
