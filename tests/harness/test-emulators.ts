import { readFileSync } from "node:fs";
import { EmulatedProject, type Form, type ProjectAddress } from "../../emulator/emulated-project.ts";

/** How the set-up tells the test files, which are other processes, of what it has started. */
export interface TestEmulatorsAddress {
  project: ProjectAddress;
  redisPort: number;
  logFile: string;
}

export interface TestEmulators {
  project: EmulatedProject;
  /** The Redis server of the emulated extension. */
  redisPort: number;
  /** What the CLI and the functions have printed. */
  output(): string;
}

/** Where the set-up of each form leaves the address. */
export const ADDRESS_VARIABLES: Readonly<Record<Form, string>> = {
  extension: "FRQ_TEST_EMULATORS",
  kit: "FRQ_TEST_EMULATORS_KIT",
};

/** The emulators that all tests of a Jest project share; the project says with which form of the product. */
export function testEmulators(): TestEmulators {
  const { FRQ_FORM: form = "extension" } = globalThis as { FRQ_FORM?: Form };
  const address = process.env[ADDRESS_VARIABLES[form]];
  if (!address) throw new Error("Only tests in tests/emulator have emulators.");
  const { project, redisPort, logFile } = JSON.parse(address) as TestEmulatorsAddress;
  return { project: new EmulatedProject(project), redisPort, output: () => readFileSync(logFile, "utf8") };
}
