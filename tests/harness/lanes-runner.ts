import TestRunner, { type Config, type TestRunnerContext } from "jest-runner";

type RunTests = TestRunner["runTests"];
type Test = Parameters<RunTests>[0][number];

/** The projects of the lane whose tests mostly wait: for emulators, and for a cluster to elect a master. */
const WAITING = ["emulator", "emulator-kit", "cluster"];

/**
 * Runs all projects in two lanes beside each other, and the files of a lane one after the other, as many share what
 * serves few at a time. In processes of their own, so that what a failed test leaves open cannot keep Jest from ending.
 */
export default class LanesRunner extends TestRunner {
  constructor(globalConfig: Config.GlobalConfig, context: TestRunnerContext) {
    super({ ...globalConfig, maxWorkers: 1 }, context);
  }

  override async runTests(...[tests, watcher, options]: Parameters<RunTests>): Promise<void> {
    const run = async (lane: Test[]) => {
      if (lane.length > 0) await super.runTests(lane, watcher, { ...options, serial: false });
    };
    const isWaiting = ({ context: { config } }: Test) => WAITING.includes(config.displayName!.name);
    await Promise.all([run(tests.filter(isWaiting)), run(tests.filter((test) => !isWaiting(test)))]);
  }
}
