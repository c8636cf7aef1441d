import { getExtensions } from "firebase-admin/extensions";
import { getFunctions } from "firebase-admin/functions";

import { defaultApp } from "./default-app";
import type { BackfillTasks } from "./handlers/backfill-quotas";

/** The task queue of this installation, and, of an extension, the state that the console shows of it. */
export function backfillTasks(location: string, instanceId: string | undefined): BackfillTasks {
  return {
    async enqueue(data, taskId) {
      const queue = getFunctions(defaultApp()).taskQueue(`locations/${location}/functions/backfillQuotas`);
      try {
        await queue.enqueue(data as Record<string, unknown>, { id: taskId });
      } catch (error) {
        if ((error as { code?: unknown }).code !== "functions/task-already-exists") throw error;
      }
    },
    async report(state, message) {
      // Only an extension has such a state.
      if (instanceId !== undefined)
        await getExtensions(defaultApp()).runtime().setProcessingState(state, message);
    },
  };
}
