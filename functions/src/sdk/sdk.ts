import { write } from "firebase-functions/logger";

import { readEnvironment, secretManagerEmulatorHost } from "../config/environment";
import { defaultFirestore } from "../default-firestore";
import { createLogs } from "../observability/logs";
import { createServices, type Services } from "../services";
import type { SessionService } from "../session/session-service";
import { createLimiter, type Limiter } from "./limiter";
import type { LoadHttps } from "./load-https";
import { parseOptions, requireKnownOptions, type RedisQuotaOptions } from "./options";
import { createWithQuota, type QuotaClient, type WithQuota } from "./with-quota";
import { createWithRateLimit, type WithRateLimit } from "./with-rate-limit";

/** Sessions of an app's users. */
export type SessionClient = Pick<SessionService, "get" | "set" | "touch" | "destroy">;

/** What `createRedisQuota` makes. */
export interface RedisQuota {
  readonly quota: QuotaClient;
  readonly limiter: Limiter;
  readonly sessions: SessionClient;
  /**
   * Closes the connection to Redis, of which a later call opens a new one, and ends the listening for policies: so that
   * the process can end.
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
    createRedisQuota: (options) => createRedisQuota(options ?? {}, loadHttps),
    withQuota: createWithQuota(loadHttps),
    withRateLimit: createWithRateLimit(loadHttps),
  };
}

function createRedisQuota(
  { firestore, log, ...settings }: RedisQuotaOptions,
  loadHttps: LoadHttps,
): RedisQuota {
  requireKnownOptions(settings);
  let made: Services | undefined;
  const make = () => {
    const config = parseOptions(settings, readEnvironment());
    const getFirestore = () => firestore ?? defaultFirestore(config.database);
    return createServices(config, getFirestore, createLogs(log ?? write), secretManagerEmulatorHost());
  };
  const services = () => (made ??= make());
  return {
    quota: {
      check: async (providerId) => services().quotaService.check(providerId),
      consume: async (...call) => services().quotaService.consume(...call),
      refund: async (...call) => services().quotaService.refund(...call),
    },
    limiter: createLimiter(() => services().rateLimiter, loadHttps),
    sessions: {
      get: async (sessionId) => services().sessionService.get(sessionId),
      set: async (...call) => services().sessionService.set(...call),
      touch: async (...call) => services().sessionService.touch(...call),
      destroy: async (sessionId) => services().sessionService.destroy(sessionId),
    },
    close: () => made?.close(),
  };
}
