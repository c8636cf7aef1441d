import { onCall } from "firebase-functions/v2/https";

import { context } from "../../context";
import { checkQuota as answerCheckQuota } from "../../handlers/check-quota";
import { checkRateLimit as answerCheckRateLimit } from "../../handlers/check-rate-limit";
import { consumeQuota as answerConsumeQuota } from "../../handlers/consume-quota";
import { getStatus as answerGetStatus } from "../../handlers/get-status";
import { BEHIND_VPC } from "./options";

export const checkQuota = onCall(BEHIND_VPC, (call) => answerCheckQuota(call, context));

export const consumeQuota = onCall(BEHIND_VPC, (call) => answerConsumeQuota(call, context));

export const checkRateLimit = onCall(BEHIND_VPC, (call) => answerCheckRateLimit(call, context));

export const getStatus = onCall(BEHIND_VPC, (call) => answerGetStatus(call, context));
