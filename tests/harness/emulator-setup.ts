import { createWriteStream, mkdirSync } from "node:fs";
import { join } from "node:path";
import { startFirebaseEmulators } from "../../emulator/start.ts";
import { startRedis } from "../../scripts/redis-server.mjs";
import { stopAtTeardown } from "./started.ts";
import type { TestEmulatorsAddress } from "./test-emulators.ts";
import { TEST_PARAMS } from "./test-params.ts";

const LOG_DIR = join(import.meta.dirname, "..", "..", ".tmp");

/** Starts the one Redis server and the one set of emulators of tests/emulator. */
export default async function setUp(): Promise<void> {
  mkdirSync(LOG_DIR, { recursive: true });
  const logFile = join(LOG_DIR, "emulator-tests.log");
  const logStream = createWriteStream(logFile);

  const redis = await startRedis();
  stopAtTeardown("emulator", redis);
  const emulators = await startFirebaseEmulators({
    redisPort: redis.port,
    form: process.env["FRQ_FORM"] === "kit" ? "kit" : "extension",
    params: TEST_PARAMS,
    log: (line) => logStream.write(`${line}\n`),
  });
  stopAtTeardown("emulator", emulators);

  const address: TestEmulatorsAddress = { project: emulators.address, redisPort: redis.port, logFile };
  process.env["FRQ_TEST_EMULATORS"] = JSON.stringify(address);
}
