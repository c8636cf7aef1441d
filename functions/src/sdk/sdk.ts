import type { Firestore } from "firebase-admin/firestore";
import { write } from "firebase-functions/logger";

import { environmentProject, readAppEnvironment, secretManagerEmulatorHost } from "../config/environment";
import { defaultFirestore } from "../default-firestore";
import { createLogs } from "../observability/logs";
import { createServices, type Services } from "../services";
import { createClients, type Clients } from "./clients";
import type { LoadHttps } from "./load-https";
import { parseOptions, readRedisQuotaOptions, type RedisQuotaOptions } from "./options";
import { createWithQuota, type WithQuota } from "./with-quota";
import { createWithRateLimit, type WithRateLimit } from "./with-rate-limit";

/** What `createRedisQuota` makes. */
export interface RedisQuota extends Clients {
  /**
   * Closes the connection to Redis and stops listening for policies, so that the process can end. Calls in progress end
   * within REDIS_TIMEOUT_MS and use the fallback. A later call connects again.
   */
  close(): void;
}

/** The parts of the SDK that throw Firebase's errors. */
export interface Sdk {
  readonly createRedisQuota: (options?: RedisQuotaOptions) => RedisQuota;
  readonly withQuota: WithQuota;
  readonly withRateLimit: WithRateLimit;
}

/** @param loadHttps as the app has it: firebase-functions' errors are known by class, of which `import` and `require` have one each */
export function createSdk(loadHttps: LoadHttps): Sdk {
  return {
    createRedisQuota: (options) => createRedisQuota(options, loadHttps),
    withQuota: createWithQuota(loadHttps),
    withRateLimit: createWithRateLimit(loadHttps),
  };
}

function createRedisQuota(options: RedisQuotaOptions | undefined, loadHttps: LoadHttps): RedisQuota {
  const { settings, firestore, log } = readRedisQuotaOptions(options);
  let made: Services | undefined;
  const make = () => {
    const config = parseOptions(settings, readAppEnvironment());
    const getFirestore = () => firestore ?? defaultFirestore(config.database);
    return createServices(config, getFirestore, createLogs(log ?? write), secretManagerEmulatorHost(), {
      project: (firestore && projectOf(firestore)) ?? environmentProject(),
      database: firestore?.databaseId,
    });
  };
  const services = () => (made ??= make());
  return {
    ...createClients(services, loadHttps),
    close() {
      made?.close();
      made = undefined;
    },
  };
}

/** The project of a client; undefined for one that learns it, from the environment, with its first request. */
function projectOf(firestore: Firestore): string | undefined {
  try {
    return (firestore as { readonly projectId?: string }).projectId;
  } catch {
    return undefined;
  }
}
