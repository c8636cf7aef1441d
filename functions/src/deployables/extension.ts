import { expr } from "firebase-functions/params";
import { document } from "firebase-functions/v1/firestore";
import { schedule } from "firebase-functions/v1/pubsub";
import { onCall } from "firebase-functions/v2/https";
import { onTaskDispatched } from "firebase-functions/v2/tasks";

import { extensionInstanceId } from "../config/environment";
import { params } from "../config/params";
import { context } from "../context";
import { backfillTasks } from "../backfill-tasks";
import { backfillQuotas as runBackfill } from "../handlers/backfill-quotas";
import { checkQuota as answerCheckQuota } from "../handlers/check-quota";
import { checkRateLimit as answerCheckRateLimit } from "../handlers/check-rate-limit";
import { consumeQuota as answerConsumeQuota } from "../handlers/consume-quota";
import { getStatus as answerGetStatus } from "../handlers/get-status";
import { mirrorQuota as applyProviderChange } from "../handlers/mirror-quota";
import { mirrorSession as applySessionChange } from "../handlers/mirror-session";
import { syncQuotas as runSync } from "../handlers/sync-quotas";

/** As in extension.yaml, which also says where and behind what the functions run. */
const LONG_TIMEOUT_SECONDS = 540;

export const mirrorQuota = document(expr`${params.QUOTA_COLLECTION_PATH}/{providerId}`).onWrite(
  (change, event) => applyProviderChange(change, event, context),
);

export const mirrorSession = document(expr`${params.SESSION_COLLECTION_PATH}/{sessionId}`).onWrite(
  (change, event) => applySessionChange(change, event, context),
);

export const checkQuota = onCall((call) => answerCheckQuota(call, context));

export const consumeQuota = onCall((call) => answerConsumeQuota(call, context));

// In force are the schedule and the time limit of extension.yaml; a first-generation declaration takes no param here.
export const syncQuotas = schedule("every 5 minutes").onRun(() => runSync(LONG_TIMEOUT_SECONDS, context));

export const backfillQuotas = onTaskDispatched(({ data }) => {
  const tasks = backfillTasks(params.LOCATION.value(), extensionInstanceId());
  return runBackfill(data, LONG_TIMEOUT_SECONDS, tasks, context);
});

export const checkRateLimit = onCall((call) => answerCheckRateLimit(call, context));

export const getStatus = onCall((call) => answerGetStatus(call, context));
