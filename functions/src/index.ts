import { expr } from "firebase-functions/params";
import { firestore } from "firebase-functions/v1";
import { onCall } from "firebase-functions/v2/https";

import { params } from "./config/params";
import { context } from "./context";
import { checkQuota as answerCheckQuota } from "./handlers/check-quota";
import { checkRateLimit as answerCheckRateLimit } from "./handlers/check-rate-limit";
import { mirrorQuota as applyProviderChange } from "./handlers/mirror-quota";

export const mirrorQuota = firestore
  .document(expr`${params.QUOTA_COLLECTION_PATH}/{providerId}`)
  .onWrite((change, event) => applyProviderChange(change, event, context));

export const checkQuota = onCall((call) => answerCheckQuota(call, context));

export const checkRateLimit = onCall((call) => answerCheckRateLimit(call, context));
