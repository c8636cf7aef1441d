import { parseStoredQuota } from "../../functions/dist/quota/stored-quota.js";
import { formatMs } from "../latency.ts";
import { committed, type ProviderWrite } from "../mirror-watch.ts";
import { EXHAUSTED_PROVIDER_ID, makeProviders } from "../providers.ts";
import { countEqual, quotasInFirestore, quotasInRedis } from "../quotas.ts";
import type { Report } from "../report.ts";
import type { Stack } from "../stack.ts";

const PROVIDERS = 600;
const TIMEOUT_MS = 30_000;
const PROGRESS_EVERY_MS = 200;

/** Writes the providers with a BulkWriter, and waits until the extension has mirrored them. */
export async function seedProviders(stack: Stack, report: Report): Promise<void> {
  const { providers, mirror } = stack;
  const startedAt = performance.now();
  const writes: ProviderWrite[] = [];
  const tell = (): void =>
    report.progress(`${writes.length} of ${PROVIDERS} written, ${mirror.count(writes)} in Redis`);
  const ticks = setInterval(tell, PROGRESS_EVERY_MS);
  try {
    const writer = providers.firestore.bulkWriter();
    const created = makeProviders(PROVIDERS).map(async ({ id, data }) => {
      writes.push(await committed(id, writer.create(providers.doc(id), data)));
    });
    await Promise.all([writer.close(), ...created]);
    report.value(`${writes.length} documents written (BulkWriter)`, formatMs(performance.now() - startedAt));
    const { lagsMs } = await mirror.untilMirrored(writes, TIMEOUT_MS);
    report.value("all mirrored, from the first write on", formatMs(performance.now() - startedAt));
    report.latency("lag to Redis, all written at once", lagsMs);
  } finally {
    clearInterval(ticks);
  }
  report.note("Written at once they queue for the emulator, which runs a few events at a time.");

  const inFirestore = await quotasInFirestore(stack);
  const equal = countEqual(inFirestore, await quotasInRedis(stack, [...inFirestore.keys()]));
  report.expect("documents mirrored", {
    expected: `${PROVIDERS}, used and limit equal`,
    measured: `${equal} of ${inFirestore.size} equal`,
    holds: equal === PROVIDERS && inFirestore.size === PROVIDERS,
  });
  await showEntry(stack, EXHAUSTED_PROVIDER_ID, report);
}

async function showEntry({ redis, keys }: Stack, id: string, report: Report): Promise<void> {
  const key = keys.quota(id);
  const { used, limit, version } = parseStoredQuota(await redis.getBuffer(key))!;
  report.note("An entry in Redis. Its version is the document's update time in microseconds.");
  report.value(key, `used ${used}, limit ${limit}, version ${version}, expires in ${await redis.ttl(key)} s`);
}
