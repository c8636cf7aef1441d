import { execFileSync } from "node:child_process";
import path from "node:path";

const LIB = path.resolve(__dirname, "../../functions/dist/lib.js");

/** What a fresh process says that only imports the SDK, and then runs a script. */
const run = (script: string) =>
  execFileSync(process.execPath, ["-e", `const lib = require(${JSON.stringify(LIB)}); ${script}`], {
    encoding: "utf8",
    env: {},
    timeout: 20_000,
  });

test("importing the SDK declares no params, opens nothing and lets the process end", () => {
  const loaded = "Object.keys(require.cache).some((file) => /firebase-functions.lib.params/.test(file))";
  expect(
    run(`console.log(typeof lib.createRedisQuota, ${loaded}, process.getActiveResourcesInfo().length)`),
  ).toMatch(/^function false [01]\n$/);
});

test("so does making a client, until its first call", () => {
  const script = `
    process.env.GCLOUD_PROJECT = "demo-p";
    const { quota, limiter, close } = lib.createRedisQuota({ redisHost: "127.0.0.1", redisPort: 1 });
    console.log(typeof quota.consume, typeof limiter.check, typeof close);`;
  expect(run(script)).toBe("function function function\n");
});

test("what Redis answers does not load Firestore's client; an app that never falls back does not pay for it", () => {
  const script = `
    const { limiter, close } = lib.createRedisQuota({
      redisHost: "127.0.0.1",
      redisPort: 1,
      rateLimitPolicies: [{ name: "p", by: "ip", limits: [{ algorithm: "fixed-window", limit: 1, window: "1 m" }] }],
      log: () => {},
    });
    limiter.check("p", "1.2.3.4").then(({ allowed }) => {
      console.log(allowed, Object.keys(require.cache).some((file) => /google-cloud.firestore/.test(file)));
      close();
    });`;
  expect(run(script)).toBe("true false\n");
});

test("Secret Manager's client is loaded when a secret is named, and not before", () => {
  const loadedBy = (redisAuthSecret: string | undefined) => `
    process.env.SECRET_MANAGER_EMULATOR_HOST = "127.0.0.1:1";
    const { limiter, close } = lib.createRedisQuota({
      redisHost: "127.0.0.1",
      redisPort: 1,
      redisAuthSecret: ${JSON.stringify(redisAuthSecret)},
      rateLimitPolicies: [{ name: "p", by: "ip", limits: [{ algorithm: "fixed-window", limit: 1, window: "1 m" }] }],
      log: () => {},
    });
    limiter.check("p", "1.2.3.4").then(({ source }) => {
      console.log(source, Object.keys(require.cache).some((file) => /google-cloud.secret-manager|grpc-js/.test(file)));
      close();
    });`;
  expect(run(loadedBy(undefined))).toBe("local false\n");
  expect(run(loadedBy("projects/p/secrets/auth"))).toBe("local true\n");
});
