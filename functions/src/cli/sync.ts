import type { Command } from "commander";

import type { Cli } from "./cli";
import { table } from "./table";

/** `sync`: what syncQuotas does, now. */
export function addSync(program: Command, cli: Cli): void {
  const command = program
    .command("sync")
    .description("Bring usage from Redis to Firestore now, each call exactly once.")
    .option("--seconds <n>", "stop after so long", Number, 300)
    .addHelpText("after", "\nExample:\n  npx firestore-redis-quota sync --env-file extensions/quota.env")
    .action(async ({ seconds }: { readonly seconds: number }) => {
      const { quotaSync } = cli.services(command);
      const report = await quotaSync.flushAll({ deadlineMs: Date.now() + seconds * 1000 });
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
