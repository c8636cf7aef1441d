import type { Command } from "commander";

import type { Cli } from "./cli";
import { count } from "./options";

/** `reconcile`: compares entries in Redis with their documents. */
export function addReconcile(program: Command, cli: Cli): void {
  const command = program
    .command("reconcile")
    .description(
      "Compare the next entries in Redis with their documents, and bring those up to date that missed a change.",
    )
    .option("--count <n>", "entries; one billed read each", count("--count"), 100)
    .addHelpText("after", "\nExample:\n  npx firestore-redis-quota reconcile --count 500")
    .action(async ({ count: entries }: { readonly count: number }) => {
      const { quotaSync } = cli.services(command);
      const bar = cli.progress("entries", entries);
      const report = await quotaSync.reconcile(entries, (compared) => bar.update(compared));
      bar.end();
      cli.print(
        command,
        report,
        () => `${report.compared} entries compared, ${report.drifted} of them had missed a change.`,
      );
    });
}
