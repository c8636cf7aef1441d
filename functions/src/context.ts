import { write } from "firebase-functions/logger";

import { ConfigError, parseConfig, type Config } from "./config/config";
import { environmentProject, readEnvironment, secretManagerEmulatorHost } from "./config/environment";
import { defaultFirestore } from "./default-firestore";
import { createLogs, type Logs } from "./observability/logs";
import { createServices, type Services } from "./services";

/** What the handlers work with. */
export interface Context extends Omit<Services, "close"> {
  readonly config: Config;
}

let instance: Context | undefined;

/**
 * The function instance's context: made by the first call, kept for all others. Opens no connection.
 *
 * @throws ConfigError, at every call until the params are corrected.
 */
export function context(): Context {
  return (instance ??= createContext());
}

function createContext(): Context {
  const logs = createLogs(write);
  const config = readConfig(logs);
  return {
    config,
    ...createServices(config, () => defaultFirestore(config.database), logs, secretManagerEmulatorHost(), {
      project: environmentProject(),
    }),
  };
}

function readConfig(logs: Logs): Config {
  try {
    return parseConfig(readEnvironment());
  } catch (error) {
    if (error instanceof ConfigError) logs.configInvalid(error.problems);
    throw error;
  }
}
