import TestRunner, { type Config, type TestRunnerContext } from "jest-runner";

/**
 * Runs test files one after the other, for tests that share what can serve few at a time. In a process of their own,
 * so that what a failed test leaves open cannot keep Jest from ending.
 */
export default class SerialRunner extends TestRunner {
  constructor(globalConfig: Config.GlobalConfig, context: TestRunnerContext) {
    super({ ...globalConfig, maxWorkers: 1 }, context);
  }

  override runTests(...[tests, watcher, options]: Parameters<TestRunner["runTests"]>): Promise<void> {
    return super.runTests(tests, watcher, { ...options, serial: false });
  }
}
