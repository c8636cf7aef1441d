import { expr } from "firebase-functions/params";
import { requiresAPI, requiresRole, type Role } from "firebase-functions/v2";
import { onDocumentWritten } from "firebase-functions/v2/firestore";
import { onCall } from "firebase-functions/v2/https";
import { afterFirstDeploy, afterRedeploy } from "firebase-functions/v2/lifecycle";
import { onSchedule } from "firebase-functions/v2/scheduler";
import { onTaskDispatched } from "firebase-functions/v2/tasks";

import { egressAtLoad, params } from "../config/params";
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

const LONG_TIMEOUT_SECONDS = 540;

// The CLI runs all functions as a service account that has these roles and no others.
const ROLES: readonly Role[] = [
  "roles/datastore.user",
  "roles/cloudtasks.enqueuer",
  "roles/eventarc.eventReceiver", // Firestore's events come by Eventarc, in this account's name
  "roles/run.invoker", // so do tasks and schedules
  "roles/secretmanager.secretAccessor",
];
for (const role of ROLES) requiresRole(role);
requiresAPI("secretmanager.googleapis.com", "Redis's password and certificate are secrets.");
requiresAPI("vpcaccess.googleapis.com", "Redis has a private address, reached through a VPC connector.");

// A task without data is refused before it reaches its function.
const FIRST_PART = { task: { function: "backfillQuotas", body: { data: {} } } };
afterFirstDeploy(FIRST_PART);
afterRedeploy(FIRST_PART);

const BEHIND_VPC = {
  region: params.LOCATION,
  vpcConnector: params.VPC_CONNECTOR,
  vpcConnectorEgressSettings: egressAtLoad(),
};

export const mirrorQuota = onDocumentWritten(
  { ...BEHIND_VPC, document: expr`${params.QUOTA_COLLECTION_PATH}/{providerId}` },
  async ({ data, time }) => {
    if (data !== undefined) await applyProviderChange(data, { timestamp: time }, context);
  },
);

export const mirrorSession = onDocumentWritten(
  { ...BEHIND_VPC, document: expr`${params.SESSION_COLLECTION_PATH}/{sessionId}` },
  async ({ data, time }) => {
    if (data !== undefined) await applySessionChange(data, { timestamp: time }, context);
  },
);

export const checkQuota = onCall(BEHIND_VPC, (call) => answerCheckQuota(call, context));

export const consumeQuota = onCall(BEHIND_VPC, (call) => answerConsumeQuota(call, context));

export const syncQuotas = onSchedule(
  { ...BEHIND_VPC, timeoutSeconds: LONG_TIMEOUT_SECONDS, schedule: params.SYNC_SCHEDULE.toCEL() },
  async () => {
    await runSync(LONG_TIMEOUT_SECONDS, context);
  },
);

export const backfillQuotas = onTaskDispatched(
  { ...BEHIND_VPC, timeoutSeconds: LONG_TIMEOUT_SECONDS },
  ({ data }) =>
    runBackfill(data, LONG_TIMEOUT_SECONDS, backfillTasks(params.LOCATION.value(), undefined), context),
);

export const checkRateLimit = onCall(BEHIND_VPC, (call) => answerCheckRateLimit(call, context));

export const getStatus = onCall(BEHIND_VPC, (call) => answerGetStatus(call, context));
