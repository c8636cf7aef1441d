import { randomUUID } from "node:crypto";

import type { Command } from "commander";

import type { Cli } from "./cli";

/** `backfill`: reads all documents into Redis. */
export function addBackfill(program: Command, cli: Cli): void {
  const command = program
    .command("backfill")
    .description("Read every provider document into Redis: one billed read each.")
    .option("--dry-run", "only say what it would read")
    .addHelpText("after", "\nExample:\n  npx firestore-redis-quota backfill --dry-run")
    .action(async ({ dryRun = false }: { readonly dryRun?: boolean }) => {
      const { quotaBackfill } = cli.services(command);
      if (dryRun) {
        const plan = await quotaBackfill.plan();
        cli.print(command, plan, () => `${plan.documents} documents, billed as ${plan.reads} reads.`);
        return;
      }
      let progress = await quotaBackfill.begin(randomUUID());
      const bar = cli.progress("documents", progress.documents);
      for (let done = false; !done;) {
        // A deadline that has passed: one page at a time.
        ({ progress, done } = await quotaBackfill.goOn(progress, { deadlineMs: 0 }));
        bar.update(progress.mirrored + progress.invalid);
      }
      bar.end();
      const { documents, mirrored, invalid } = progress;
      cli.failed = invalid > 0;
      cli.print(
        command,
        { documents, mirrored, invalid },
        () => `${mirrored} documents are in Redis, ${invalid} hold no valid quota.`,
      );
    });
}
