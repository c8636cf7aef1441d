import type { Command } from "commander";

import type { Cli } from "./cli";

/** `rollback`: what is to be done before Firestore alone decides. */
export function addRollback(program: Command, cli: Cli): void {
  const command = program
    .command("rollback")
    .description(
      "Bring all usage to Firestore before MODE is set to firestore, and check that nothing is left.",
    )
    .addHelpText("after", "\nExample:\n  npx firestore-redis-quota rollback --env-file extensions/quota.env")
    .action(async () => {
      const { quotaSync } = cli.services(command);
      const report = await quotaSync.flushAll({ deadlineMs: Date.now() + 300_000 });
      const left = await quotaSync.unsynced();
      cli.failed = left.pendingProviders > 0;
      const { MODE: mode = "dual-write" } = cli.params(command);
      cli.print(command, { mode, flushed: report.flushed, failed: report.failed, ...left }, () =>
        [
          `${report.flushed} providers were brought to Firestore, ${report.failed} failed.`,
          left.pendingProviders === 0
            ? "Redis holds no usage that Firestore lacks."
            : `${left.pendingProviders} providers still have usage that Firestore lacks; run this again.`,
          mode === "firestore"
            ? "MODE is firestore: Redis is not needed any more once this finds nothing left."
            : `MODE is ${mode}: set MODE=firestore, deploy, and run this again.`,
        ].join("\n"),
      );
    });
}
