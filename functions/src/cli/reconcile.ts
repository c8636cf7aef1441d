import type { Command } from "commander";

import type { Cli } from "./cli";

/** `reconcile`: compares entries in Redis with their documents. */
export function addReconcile(program: Command, cli: Cli): void {
  const command = program
    .command("reconcile")
    .description(
      "Compare the next entries in Redis with their documents, and bring those up to date that missed a change.",
    )
    .option("--count <n>", "entries; one billed read each", Number, 100)
    .addHelpText("after", "\nExample:\n  npx firestore-redis-quota reconcile --count 500")
    .action(async ({ count }: { readonly count: number }) => {
      const report = await cli.services(command).quotaSync.reconcile(count);
      cli.print(
        command,
        report,
        () => `${report.compared} entries compared, ${report.drifted} of them had missed a change.`,
      );
    });
}
