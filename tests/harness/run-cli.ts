import type { Firestore } from "@google-cloud/firestore";

import type { Surroundings } from "../../functions/src/cli/cli";
import { runCli, type ExitCode } from "../../functions/src/cli/program";

/** Runs a command as a shell would, in this process; `firestore` makes the client, which the command terminates. */
export async function runCommand(
  args: readonly string[],
  {
    environment = {},
    firestore,
    ...surroundings
  }: Partial<Omit<Surroundings, "getFirestore" | "write" | "warn">> & { firestore?: () => Firestore } = {},
): Promise<{ exitCode: ExitCode; output: string; errors: string }> {
  let output = "";
  let errors = "";
  const exitCode = await runCli(args, {
    ...surroundings,
    environment,
    getFirestore() {
      if (!firestore) throw new Error("This command is not to need Firestore.");
      return firestore();
    },
    write: (text) => (output += text),
    warn: (text) => (errors += text),
  });
  return { exitCode, output, errors };
}
