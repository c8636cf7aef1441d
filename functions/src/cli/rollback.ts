import { Option, type Command } from "commander";

import { PARAM_SPECS } from "../config/param-specs";
import { describeInstallation, describeSource } from "../quota/installations";
import type { Cli, GlobalOptions } from "./cli";
import { setParams } from "./params-file";
import { flushAll } from "./sync";
import { UsageError } from "./usage-error";

const TIME_LIMIT_SECONDS = 300;

interface Options {
  readonly to: "firestore" | "dual-write";
  readonly apply?: boolean;
}

/** `rollback`: what is to be done before Firestore decides again. */
export function addRollback(program: Command, cli: Cli): void {
  const command = program
    .command("rollback")
    .description("Bring all usage to Firestore before MODE is set back, and check that nothing is left.")
    .addOption(
      new Option("--to <mode>", "the mode to go back to")
        .choices(["firestore", "dual-write"])
        .default("firestore"),
    )
    .option("--apply", "write that mode into --env-file, unless a provider has failed")
    .addHelpText(
      "after",
      "\nRun it before the deployment that sets MODE back, and again once the old instances are gone." +
        "\n\nExamples:\n  npx firestore-redis-quota rollback --env-file extensions/quota.env" +
        "\n  npx firestore-redis-quota rollback --to dual-write --env-file extensions/quota.env --apply",
    )
    .action(async ({ to, apply }: Options) => {
      const { envFile } = command.optsWithGlobals<GlobalOptions>();
      if (apply && envFile === undefined)
        throw new UsageError("--apply: expected --env-file, the file to write the mode into");
      const { quotaSync, installations } = cli.services(command);
      const report = await flushAll(cli, quotaSync, TIME_LIMIT_SECONDS);
      const left = await quotaSync.unsynced();
      const mode = cli.params(command).MODE || PARAM_SPECS.MODE.default;
      cli.failed = left.pendingProviders > 0;
      const applied = apply === true && mode !== to && report.failed === 0;
      if (applied) setParams(envFile!, { MODE: to });
      // In redis-primary, instances can count again.
      if (left.pendingProviders === 0 && mode !== "redis-primary") await installations.unregister();
      // Last and optional, so that nothing keeps MODE from being set back.
      const found = await installations.unsyncedOthers().then(
        (others) => ({ others, othersError: undefined }),
        (error: Error) => ({ others: [], othersError: error.message }),
      );
      const { others, othersError } = found;
      const { keyPrefix, source } = installations;
      const { flushed, failed } = report;
      const result = { keyPrefix, ...source, mode, to, flushed, failed, ...left, ...found, applied };
      cli.print(command, result, () =>
        [
          `KEY_PREFIX is ${keyPrefix}, MODE is ${mode}, for ${describeSource(source)}.`,
          `${flushed} providers were brought to Firestore, ${failed} failed.`,
          left.pendingProviders === 0
            ? `Under ${keyPrefix}, Redis holds no usage that Firestore lacks.`
            : `${left.pendingProviders} providers still have usage that Firestore lacks; run this again.`,
          ...others.map(
            (other) =>
              `Redis also holds usage of ${describeInstallation(other)}. If you have changed params, run this with the old ones.`,
          ),
          ...(othersError === undefined
            ? []
            : [`Could not look for unsynced usage under other key prefixes: ${othersError}`]),
          whatNext(mode, to, applied),
        ].join("\n"),
      );
    });
}

function whatNext(mode: string, to: Options["to"], applied: boolean): string {
  if (applied) return `MODE was ${mode} and is ${to} now: deploy, and run this again.`;
  if (mode !== to) return `MODE is ${mode}: set MODE=${to}, deploy, and run this again.`;
  return to === "firestore"
    ? "MODE is firestore: Redis is not needed any more once this finds nothing left."
    : "MODE is dual-write: Firestore decides.";
}
