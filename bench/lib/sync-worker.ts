/**
 * One sync after another, a second between their beginnings, until somebody kills it; a process of its own for soak.ts.
 *
 *   node bench/lib/sync-worker.ts <redis port> <collection>
 *
 * Tells on stdout when a sync begins, and what it did.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { assembleQuotaParts } from "./quota-parts.ts";

const INTERVAL_MS = 1000;

const [redisPort, collectionPath] = process.argv.slice(2);
const { sync } = assembleQuotaParts({ redisPort: Number(redisPort), collectionPath: collectionPath! });

for (;;) {
  const startMs = Date.now();
  process.stdout.write("begin\n");
  try {
    const { flushed, failed } = await sync.flushAll({ deadlineMs: startMs + 60_000 });
    process.stdout.write(`end ${flushed} ${failed}\n`);
  } catch (error) {
    process.stdout.write(`error ${(error as Error).message}\n`);
  }
  await sleep(Math.max(0, startMs + INTERVAL_MS - Date.now()));
}
