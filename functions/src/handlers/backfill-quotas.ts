import { randomUUID } from "node:crypto";

import * as v from "valibot";

import type { Context } from "../context";

/** Stops this long before the function's time limit. */
const MARGIN_MS = 60_000;

const progressSchema = v.object({
  runId: v.string(),
  cursor: v.optional(v.string()),
  documents: v.number(),
  mirrored: v.number(),
  invalid: v.number(),
});

/** What a backfill needs of its surroundings: a queue that runs its next part, and a place to show how it stands. */
export interface BackfillTasks {
  /** Runs the handler again with this data; a task that is there already is left as it is. */
  enqueue(data: unknown, taskId: string): Promise<void>;
  /** Shows the state of the installation. */
  report(state: "PROCESSING_COMPLETE" | "PROCESSING_WARNING" | "NONE", message: string): Promise<void>;
}

/**
 * Runs one part of a backfill and enqueues the next. The first task, from a lifecycle event, has no data.
 *
 * @throws RedisUnavailableError, and Firestore's errors, so that the queue tries the same part again.
 */
export async function backfillQuotas(
  data: unknown,
  timeoutSeconds: number,
  tasks: BackfillTasks,
  context: () => Context,
): Promise<void> {
  const { config, quotaBackfill } = context();
  const under = v.safeParse(progressSchema, data);
  if (!under.success && !config.backfillOnInstall) {
    await tasks.report("NONE", "Ready. Existing documents are read into Redis when they are first checked.");
    return;
  }
  const deadlineMs = Date.now() + timeoutSeconds * 1000 - MARGIN_MS;
  const start = under.success ? under.output : await quotaBackfill.begin(randomUUID());
  const { progress, done } = await quotaBackfill.goOn(start, { deadlineMs });
  const { documents, mirrored, invalid } = progress;
  if (!done) {
    await tasks.enqueue(progress, `${progress.runId}-${mirrored + invalid}`);
    await tasks.report("NONE", `Backfilling: ${mirrored + invalid} of ${documents} documents read.`);
    return;
  }
  const now = await quotaBackfill.plan();
  const summary = `${mirrored} documents are in Redis; ${now.documents} are in Firestore now`;
  if (invalid > 0) {
    await tasks.report("PROCESSING_WARNING", `${summary}; ${invalid} hold no valid quota, see the log.`);
  } else {
    await tasks.report("PROCESSING_COMPLETE", `${summary}.`);
  }
}
