import { readFileSync } from "node:fs";
import path from "node:path";

import { Command, CommanderError } from "commander";

import { ConfigError } from "../config/config";
import { messageWithRemedy } from "../firestore";
import { addAdvise } from "./advise";
import { addBackfill } from "./backfill";
import { Cli, type Surroundings } from "./cli";
import { addDoctor } from "./doctor";
import { addInspect } from "./inspect";
import { addMigrate } from "./migrate";
import { addPolicies } from "./policies";
import { addReconcile } from "./reconcile";
import { addRollback } from "./rollback";
import { addSync } from "./sync";
import { redact } from "./table";
import { UsageError } from "./usage-error";

/** How a command ended: all is well; a check has failed, or the work; it was called wrongly. */
export type ExitCode = 0 | 1 | 2;

/** Runs one command. Never throws: what goes wrong is written, and is in the exit code. */
export async function runCli(args: readonly string[], surroundings: Surroundings): Promise<ExitCode> {
  const cli = new Cli(surroundings);
  try {
    await createProgram(cli, surroundings).parseAsync(args, { from: "user" });
    return cli.failed ? 1 : 0;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    surroundings.warn(`${redact(messageWithRemedy(error as Error))}\n`);
    return error instanceof ConfigError || error instanceof UsageError ? 2 : 1;
  } finally {
    await cli.close();
  }
}

/** The version of the package that this file is in. */
function readVersion(): string {
  const manifest = readFileSync(path.join(__dirname, "../../package.json"), "utf8");
  return (JSON.parse(manifest) as { version: string }).version;
}

/** The program with all its commands. */
export function createProgram(cli: Cli, { write, warn }: Pick<Surroundings, "write" | "warn">): Command {
  const program = new Command("firestore-redis-quota")
    .description("Checks and runs Redis in front of Firestore for quotas and rate limits.")
    .version(readVersion(), "--version", "print the version of this package")
    .option(
      "--env-file <file>",
      "params, such as an extension's extensions/INSTANCE.env; over the environment",
    )
    .option("--project <id>", "Google Cloud project of Firestore; otherwise as the environment says")
    .option("--json", "print JSON")
    .exitOverride()
    .configureOutput({ writeOut: write, writeErr: warn })
    .addHelpText(
      "after",
      "\nExamples:\n  npx firestore-redis-quota doctor --env-file extensions/quota.env --project my-project" +
        "\n  npx firestore-redis-quota migrate --env-file extensions/quota.env --project my-project" +
        "\n  npx firestore-redis-quota backfill --help",
    )
    .addHelpText("after", "\nExit codes: 0 all is well, 1 a check or the work has failed, 2 called wrongly.");
  for (const add of [
    addDoctor,
    addAdvise,
    addBackfill,
    addSync,
    addReconcile,
    addInspect,
    addPolicies,
    addMigrate,
    addRollback,
  ])
    add(program, cli);
  return program;
}
