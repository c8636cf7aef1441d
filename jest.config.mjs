// Packages that come as ES modules only, which Jest cannot load as they are: jose comes with firebase-admin.
const ES_MODULES = ["jose"].join("|");

const compile = ["@swc/jest", { jsc: { target: "es2023", parser: { syntax: "typescript" } } }];

/** The tests of one folder, which is named after what they need. */
const project = (name, settings = {}) => ({
  displayName: name,
  testEnvironment: "node",
  testMatch: [`<rootDir>/tests/${name}/**/*.test.ts`],
  transform: { "\\.(ts|mjs)$": compile, [`/node_modules/(${ES_MODULES})/.+\\.js$`]: compile },
  transformIgnorePatterns: [`/node_modules/(?!(${ES_MODULES})/)`],
  runner: "<rootDir>/tests/harness/lanes-runner.ts",
  modulePathIgnorePatterns: ["<rootDir>/.tmp/"],
  moduleFileExtensions: ["ts", "js", "mjs", "json", "node"],
  ...settings,
});

const LOW_PRIORITY = "<rootDir>/tests/harness/low-priority.ts";

/** What the tests of a project need that run against Google's Firestore emulator. */
const withGoogle = {
  setupFiles: [LOW_PRIORITY],
  setupFilesAfterEnv: ["<rootDir>/tests/harness/skip-without-google.ts"],
  globalSetup: "<rootDir>/tests/harness/google-setup.ts",
  globalTeardown: "<rootDir>/tests/harness/google-teardown.ts",
};

export default {
  projects: [
    project("unit", { setupFiles: [LOW_PRIORITY] }),
    project(
      "emulator-firestore",
      process.env.FRQ_EMULATORS === "official" ? withGoogle : { setupFiles: [LOW_PRIORITY] },
    ),
    project("google", withGoogle),
    project("redis", {
      setupFiles: ["<rootDir>/tests/harness/quiet-requests.ts"],
      globalSetup: "<rootDir>/tests/harness/redis-setup.ts",
      globalTeardown: "<rootDir>/tests/harness/redis-teardown.ts",
    }),
    project("cluster", {
      globalSetup: "<rootDir>/tests/harness/cluster-setup.ts",
      globalTeardown: "<rootDir>/tests/harness/cluster-teardown.ts",
    }),
    project("emulator", {
      globalSetup: "<rootDir>/tests/harness/emulator-setup.ts",
      globalTeardown: "<rootDir>/tests/harness/emulator-teardown.ts",
    }),
    project("browser"),
    project("package", {
      setupFiles: [LOW_PRIORITY],
      globalSetup: "<rootDir>/tests/harness/package-setup.ts",
    }),
    // The functions of the other form, through the same tests.
    project("emulator-kit", {
      testMatch: ["backfill-tasks", "callables", "mirror-quota", "mirror-session", "security"].map(
        (name) => `<rootDir>/tests/emulator/${name}.test.ts`,
      ),
      globals: { FRQ_FORM: "kit" },
      globalSetup: "<rootDir>/tests/harness/kit-setup.ts",
      globalTeardown: "<rootDir>/tests/harness/kit-teardown.ts",
    }),
  ],
  testTimeout: 120_000, // for a busy machine; Jest ignores it in a project
  // A worker exits when nothing is left to wait for. After its server has gone, a closed ioredis client keeps a timer for
  // `timeoutMs` (2 s in many tests), which Jest's default of 500 ms would report as a leak.
  workerGracefulExitTimeout: 10_000,
};
