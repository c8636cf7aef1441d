import { onSchedule } from "firebase-functions/v2/scheduler";
import { onTaskDispatched } from "firebase-functions/v2/tasks";

import { backfillTasks } from "../../backfill-tasks";
import { params } from "../../config/params";
import { context } from "../../context";
import { backfillQuotas as runBackfill } from "../../handlers/backfill-quotas";
import { syncQuotas as runSync } from "../../handlers/sync-quotas";
import { JOB, LONG_TIMEOUT_SECONDS } from "./options";

export const syncQuotas = onSchedule({ ...JOB, schedule: params.SYNC_SCHEDULE.toCEL() }, async () => {
  await runSync(LONG_TIMEOUT_SECONDS, context);
});

export const backfillQuotas = onTaskDispatched(JOB, ({ data }) =>
  runBackfill(data, LONG_TIMEOUT_SECONDS, backfillTasks(params.LOCATION.value(), undefined), context),
);
