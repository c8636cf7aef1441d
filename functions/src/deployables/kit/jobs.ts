import { onSchedule } from "firebase-functions/v2/scheduler";
import { onTaskDispatched } from "firebase-functions/v2/tasks";

import { backfillTasks } from "../../backfill-tasks";
import { params } from "../../config/params";
import { context } from "../../context";
import { backfillQuotas as runBackfill } from "../../handlers/backfill-quotas";
import { syncQuotas as runSync } from "../../handlers/sync-quotas";
import { BEHIND_VPC } from "./options";

const LONG_TIMEOUT_SECONDS = 540;

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
