import { Cli } from "../../functions/src/cli/cli";
import { createProgram } from "../../functions/src/cli/program";
import { runCommand } from "../harness/run-cli.ts";

type Command = Pick<ReturnType<typeof createProgram>, "name" | "commands">;

/** The words that call each command: of the program itself none. */
function pathsBelow(command: Command, path: readonly string[] = []): string[][] {
  return [[...path], ...command.commands.flatMap((each) => pathsBelow(each, [...path, each.name()]))];
}

function allPaths(): string[][] {
  const silent = { write: () => {}, warn: () => {} };
  const getFirestore = () => {
    throw new Error("Help is not to need Firestore.");
  };
  return pathsBelow(createProgram(new Cli({ ...silent, environment: {}, getFirestore }), silent));
}

test("all commands are found", () => {
  expect(allPaths().map((path) => path.join(" "))).toEqual(
    expect.arrayContaining(["", "doctor", "policies", "policies validate", "policies try", "rollback"]),
  );
});

test.each(allPaths().map((path) => [path.join(" "), path]))("%p --help has an example", async (_, path) => {
  const { exitCode, output } = await runCommand([...path, "--help"]);
  expect(exitCode).toBe(0);
  const [, examples = ""] = output.split(/\nExamples?:\n/);
  const lines = examples.split("\n").filter((line) => line.startsWith("  npx "));
  expect(lines.length).toBeGreaterThan(0);
  for (const line of lines)
    expect(`${line} `).toContain(["  npx firestore-redis-quota", ...path, ""].join(" "));
});
