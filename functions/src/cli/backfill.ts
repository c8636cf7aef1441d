import { randomUUID } from "node:crypto";

import type { Command } from "commander";

import type { Cli } from "./cli";

/** Progress is told of this often. */
const PART_MS = 2000;

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
      for (let done = false; !done;) {
        ({ progress, done } = await quotaBackfill.goOn(progress, { deadlineMs: Date.now() + PART_MS }));
        const { documents, mirrored, invalid } = progress;
        const share = documents === 0 ? 1 : Math.min(1, (mirrored + invalid) / documents);
        cli.progress(
          `[${"#".repeat(Math.round(20 * share)).padEnd(20)}] ${mirrored + invalid} of ${documents} documents`,
        );
      }
      const { documents, mirrored, invalid } = progress;
      cli.failed = invalid > 0;
      cli.print(
        command,
        { documents, mirrored, invalid },
        () => `${mirrored} documents are in Redis, ${invalid} hold no valid quota.`,
      );
    });
}
