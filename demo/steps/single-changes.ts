import { setTimeout as sleep } from "node:timers/promises";
import { FieldValue } from "firebase-admin/firestore";
import { committed, type ProviderWrite } from "../mirror-watch.ts";
import { countEqual, quotasInFirestore, quotasInRedis } from "../quotas.ts";
import type { Report } from "../report.ts";
import type { Stack } from "../stack.ts";

const CHANGES = 100;
const PAUSE_MS = 40;
const TIMEOUT_MS = 10_000;

/** Changes single documents, as AI calls do all day, and measures how far behind Redis is. */
export async function measureLag(stack: Stack, report: Report): Promise<void> {
  const { providers, mirror } = stack;
  report.note(
    "From the commit, by Firestore's clock, to the moment when Redis tells subscribers of the new entry.",
  );
  const quotas = [...(await quotasInFirestore(stack))];
  const withQuota = quotas.filter(([, { used, limit }]) => used < limit).slice(0, CHANGES);
  const writes: ProviderWrite[] = [];
  for (const [id] of withQuota) {
    const change = { aiCallsUsed: FieldValue.increment(1), lastAiCallAt: FieldValue.serverTimestamp() };
    writes.push(await committed(id, providers.doc(id).update(change)));
    report.progress(`${writes.length} of ${CHANGES} changed`);
    await sleep(PAUSE_MS);
  }
  const { lagsMs, missing } = await mirror.untilMirrored(writes, TIMEOUT_MS);
  report.latency("lag to Redis, one change at a time", lagsMs);

  const inFirestore = await quotasInFirestore(stack);
  const equal = countEqual(inFirestore, await quotasInRedis(stack, [...inFirestore.keys()]));
  report.expect("changes mirrored", {
    expected: `${CHANGES}, Redis equal to Firestore`,
    measured: `${lagsMs.length}, ${equal} of ${inFirestore.size} equal`,
    holds: missing.length === 0 && lagsMs.length === CHANGES && equal === inFirestore.size,
  });
}
