import type { Command } from "commander";

import type { QuotaSync, SyncReport } from "../quota/quota-sync";
import type { Cli } from "./cli";
import { count } from "./options";
import { table } from "./table";

/** `sync`: what syncQuotas does, now. */
export function addSync(program: Command, cli: Cli): void {
  const command = program
    .command("sync")
    .description("Bring usage from Redis to Firestore now, each call exactly once.")
    .option("--seconds <n>", "stop after so long", count("--seconds"), 300)
    .addHelpText("after", "\nExample:\n  npx firestore-redis-quota sync --env-file extensions/quota.env")
    .action(async ({ seconds }: { readonly seconds: number }) => {
      const { quotaSync } = cli.services(command);
      const report = await flushAll(cli, quotaSync, seconds);
      const left = await quotaSync.unsynced();
      cli.failed = report.failed > 0 || !report.complete;
      cli.print(command, { ...report, ...left }, () =>
        table([
          ["Providers brought to Firestore", String(report.flushed)],
          ["Providers that failed", String(report.failed)],
          ["Complete", report.complete ? "yes" : "no"],
          ["Providers with usage that Firestore lacks", String(left.pendingProviders)],
          ["Age of the oldest of it", `${(left.oldestPendingMs / 1000).toFixed(1)} s`],
        ]),
      );
    });
}

/** Brings all usage to Firestore within so many seconds, and shows how far that has got. */
export async function flushAll(cli: Cli, quotaSync: QuotaSync, seconds: number): Promise<SyncReport> {
  const { pendingProviders } = await quotaSync.unsynced();
  const bar = cli.progress("providers", pendingProviders);
  const report = await quotaSync.flushAll({ deadlineMs: Date.now() + seconds * 1000 }, (done) =>
    bar.update(done),
  );
  bar.end();
  return report;
}
