/** Tests are sorted by what they need; `npm test -- --selectProjects unit` runs those that need nothing. */
const shared = {
  testEnvironment: "node",
  transform: {
    "\\.(ts|mjs)$": ["@swc/jest", { jsc: { target: "es2023", parser: { syntax: "typescript" } } }],
  },
  transformIgnorePatterns: ["/node_modules/"],
  moduleFileExtensions: ["ts", "mjs", "js", "json", "node"],
};

/** @returns a project for the tests of one folder */
const project = (name, settings = {}) => ({
  ...shared,
  displayName: name,
  testMatch: [`<rootDir>/tests/${name}/**/*.test.ts`],
  ...settings,
});

export default {
  projects: [
    project("unit"),
    project("emulator-firestore"),
    project("redis", {
      globalSetup: "<rootDir>/tests/harness/redis-setup.ts",
      globalTeardown: "<rootDir>/tests/harness/redis-teardown.ts",
    }),
    project("emulator", {
      globalSetup: "<rootDir>/tests/harness/emulator-setup.ts",
      globalTeardown: "<rootDir>/tests/harness/emulator-teardown.ts",
      runner: "<rootDir>/tests/harness/serial-runner.ts",
    }),
  ],
  testTimeout: 30_000,
};
