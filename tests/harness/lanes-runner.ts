import TestRunner, { type Config, type TestRunnerContext } from "jest-runner";
import { untilSetUp } from "./started.ts";

type RunTests = TestRunner["runTests"];
type Test = Parameters<RunTests>[0][number];

/**
 * The projects that share what serves few tests at a time, by lane. The first lane mostly waits: for a cluster to elect
 * a master, and for emulators, which start while the cluster's tests run.
 */
const LANES = [
  ["cluster", "emulator", "emulator-kit"],
  ["redis", "browser"],
];

/**
 * Runs the lanes concurrently, and the files of a lane one after the other. All other projects are a lane of their own,
 * which has a low priority (low-priority.ts). Tests run in child processes, so that what a failed test leaves open
 * cannot keep Jest from ending.
 */
export default class LanesRunner extends TestRunner {
  constructor(globalConfig: Config.GlobalConfig, context: TestRunnerContext) {
    super({ ...globalConfig, maxWorkers: 1 }, context);
  }

  override async runTests(...[tests, watcher, options]: Parameters<RunTests>): Promise<void> {
    const run = async (lane: readonly string[]) => {
      for (const project of lane) {
        const files = tests.filter((test) => projectOf(test) === project);
        if (files.length === 0) continue;
        await untilSetUp(project);
        await super.runTests(files, watcher, { ...options, serial: false });
      }
    };
    const others = new Set(tests.map(projectOf).filter((project) => !LANES.flat().includes(project)));
    await Promise.all([...LANES, [...others]].map(run));
  }
}

function projectOf({ context: { config } }: Test): string {
  return config.displayName!.name;
}
