import TestRunner from "jest-runner";

/** Runs test files one after the other, for tests that share what can serve few at a time. */
export default class SerialRunner extends TestRunner {
  override readonly isSerial = true;
}
