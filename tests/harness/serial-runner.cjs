const { default: TestRunner } = require("jest-runner");

/** Runs the test files one after the other: they share one emulator, whose functions are few. */
module.exports = class SerialRunner extends TestRunner {
  isSerial = true;
};
