import { schedule } from "firebase-functions/v1/pubsub";
import { onTaskDispatched } from "firebase-functions/v2/tasks";

import { backfillTasks } from "../../backfill-tasks";
import { extensionInstanceId } from "../../config/environment";
import { params } from "../../config/params";
import * as runtime from "../../runtime";

/** As in extension.yaml, which also says where and behind what the functions run. */
const LONG_TIMEOUT_SECONDS = 540;

// In force are the schedule and the time limit of extension.yaml; a first-generation declaration takes no param here.
export const syncQuotas = schedule("every 5 minutes").onRun(() =>
  runtime.syncQuotas(LONG_TIMEOUT_SECONDS, runtime.context),
);

export const backfillQuotas = onTaskDispatched(({ data }) => {
  const tasks = backfillTasks(params.LOCATION.value(), extensionInstanceId());
  return runtime.backfillQuotas(data, LONG_TIMEOUT_SECONDS, tasks, runtime.context);
});
