import { createWriteStream, mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Form } from "../../emulator/emulated-project.ts";
import { startFirebaseEmulators } from "../../emulator/start.ts";
import { startRedis } from "../../scripts/redis-server.mjs";
import { stopAtTeardown } from "./started.ts";
import { ADDRESS_VARIABLES, type TestEmulatorsAddress } from "./test-emulators.ts";
import { TEST_PARAMS } from "./test-params.ts";

const LOG_DIR = join(import.meta.dirname, "..", "..", ".tmp");

/** Starts the one Redis server and the one set of emulators of a Jest project. */
export async function startTestEmulators(jestProject: string, form: Form): Promise<void> {
  mkdirSync(LOG_DIR, { recursive: true });
  const logFile = join(LOG_DIR, `${jestProject}-tests.log`);
  const logStream = createWriteStream(logFile);

  const redis = await startRedis();
  stopAtTeardown(jestProject, redis);
  const emulators = await startFirebaseEmulators({
    redisPort: redis.port,
    form,
    params: TEST_PARAMS,
    log: (line) => logStream.write(`${line}\n`),
  });
  stopAtTeardown(jestProject, emulators);

  const address: TestEmulatorsAddress = { project: emulators.address, redisPort: redis.port, logFile };
  process.env[ADDRESS_VARIABLES[form]] = JSON.stringify(address);
}
