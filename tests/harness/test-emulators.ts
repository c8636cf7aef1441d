import { readFileSync } from "node:fs";
import { EmulatedProject, type ProjectAddress } from "../../emulator/emulated-project.ts";

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

/** The emulators that all tests of the `emulator` project share. */
export function testEmulators(): TestEmulators {
  const address = process.env["FRQ_TEST_EMULATORS"];
  if (!address) throw new Error("Only tests in tests/emulator have emulators.");
  const { project, redisPort, logFile } = JSON.parse(address) as TestEmulatorsAddress;
  return { project: new EmulatedProject(project), redisPort, output: () => readFileSync(logFile, "utf8") };
}
