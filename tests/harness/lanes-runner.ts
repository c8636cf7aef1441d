import TestRunner, { type Config, type TestRunnerContext } from "jest-runner";

type RunTests = TestRunner["runTests"];
type Test = Parameters<RunTests>[0][number];

/** The projects whose tests mostly wait, for emulators; all others run beside them. */
const WAITING = ["emulator", "emulator-kit"];

/** The projects whose test files share what serves one at a time, in the order in which they follow the others. */
const SERIAL = ["cluster", "browser"];

/**
 * Runs all projects in two lanes beside each other. In processes of their own, so that what a failed test leaves open
 * cannot keep Jest from ending.
 */
export default class LanesRunner extends TestRunner {
  constructor(globalConfig: Config.GlobalConfig, context: TestRunnerContext) {
    super({ ...globalConfig, maxWorkers: 1 }, context);
  }

  override async runTests(...[tests, watcher, options]: Parameters<RunTests>): Promise<void> {
    const inOrder = (projects: readonly string[]) =>
      projects.flatMap((project) => tests.filter((test) => projectOf(test) === project));
    const run = async (lane: Test[]) => {
      if (lane.length > 0) await super.runTests(lane, watcher, { ...options, serial: false });
    };
    const others = tests.filter((test) => ![...WAITING, ...SERIAL].includes(projectOf(test)));
    await Promise.all([run(inOrder(WAITING)), run([...others, ...inOrder(SERIAL)])]);
  }
}

function projectOf({ context: { config } }: Test): string {
  return config.displayName!.name;
}
