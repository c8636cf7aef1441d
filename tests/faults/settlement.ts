import { setTimeout as sleep } from "node:timers/promises";

import { toVersion } from "../../functions/dist/firestore.js";
import type { Ledger } from "./ledger.ts";
import type { Stage } from "./stage.ts";

const MAX_SYNCS = 40;
const BETWEEN_SYNCS_MS = 100;
const ALL_ENTRIES = 1000;

/** What the stores hold once all is at rest, against what callers were told. */
export interface Comparison {
  /** Usage that was accepted and is nowhere. */
  readonly lost: number;
  /** Usage beyond what was accepted and what may have been. */
  readonly doubled: number;
  /** Usage accepted beyond limits. */
  readonly overrun: number;
  readonly wrong: readonly string[];
}

/** Syncs until nothing is left to bring to Firestore. */
export async function syncUntilClean({ instances, direct, keys }: Stage): Promise<void> {
  for (let syncs = 0; syncs < MAX_SYNCS; syncs++) {
    const { failed } = await instances[0]!.quotaSync.flushAll({ deadlineMs: Date.now() + 60_000 });
    if (failed === 0 && (await direct.redis.exists(...keys.allDirty())) === 0) return;
    await sleep(BETWEEN_SYNCS_MS);
  }
  throw new Error(`Usage is left in Redis after ${MAX_SYNCS} syncs.`);
}

/** Brings all usage to Firestore and all documents to Redis, and compares what they hold with what was answered. */
export async function compareStores(stage: Stage, ledgers: readonly Ledger[]): Promise<Comparison> {
  await syncUntilClean(stage);
  await stage.instances[0]!.quotaSync.reconcile(ALL_ENTRIES);
  const { direct, collection, instances } = stage;
  const { quotaMirror, quotaService } = instances[0]!;
  const documents = await direct.firestore.getAll(
    ...ledgers.map(({ id }) => direct.firestore.collection(collection).doc(id)),
  );
  const wrong: string[] = [];
  const sums = { lost: 0, doubled: 0, overrun: 0 };
  await Promise.all(
    ledgers.map(async (ledger, i) => {
      const { id, acceptedInAll, unknown, limit } = ledger;
      const document = documents[i]!;
      const used = Number(document.get("aiCallsUsed"));
      const lost = Math.max(0, acceptedInAll - used);
      sums.lost += lost;
      sums.doubled += Math.max(0, used - acceptedInAll - unknown);
      sums.overrun += Math.max(0, acceptedInAll - limit);
      wrong.push(...ledger.beyondLimit(lost));

      await quotaMirror.mirror({
        providerId: id,
        path: document.ref.path,
        data: document.data(),
        version: toVersion(document.updateTime!),
        created: toVersion(document.createTime!),
        asOfMs: document.readTime.toMillis(),
      });
      const check = await quotaService.check(id);
      if (check.used !== used)
        wrong.push(`${id}: ${check.source} says ${check.used}, Firestore holds ${used}`);
    }),
  );
  return { ...sums, wrong };
}
