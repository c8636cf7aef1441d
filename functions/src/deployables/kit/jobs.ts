import { onSchedule } from "firebase-functions/v2/scheduler";
import { onTaskDispatched } from "firebase-functions/v2/tasks";

import { backfillTasks } from "../../backfill-tasks";
import { params } from "../../config/params";
import * as runtime from "../../runtime";
import { JOB, LONG_TIMEOUT_SECONDS } from "./options";

export const syncQuotas = onSchedule({ ...JOB, schedule: params.SYNC_SCHEDULE.toCEL() }, async () => {
  await runtime.syncQuotas(LONG_TIMEOUT_SECONDS, runtime.context);
});

export const backfillQuotas = onTaskDispatched(JOB, ({ data }) =>
  runtime.backfillQuotas(
    data,
    LONG_TIMEOUT_SECONDS,
    backfillTasks(params.LOCATION.value(), undefined),
    runtime.context,
  ),
);
