import type { QuotaService } from "../quota/quota-service";
import type { RateLimiter } from "../rate-limit/rate-limiter";
import type { SessionService } from "../session/session-service";
import { createLimiter, type Limiter } from "./limiter";
import type { LoadHttps } from "./load-https";
import type { QuotaClient } from "./with-quota";

/** Sessions of an app's users. */
export type SessionClient = Pick<SessionService, "get" | "set" | "touch" | "destroy">;

/** What an app calls. */
export interface Clients {
  readonly quota: QuotaClient;
  readonly limiter: Limiter;
  readonly sessions: SessionClient;
}

interface ClientServices {
  readonly quotaService: QuotaService;
  readonly rateLimiter: RateLimiter;
  readonly sessionService: SessionService;
}

/** @param services those of the first call; what it throws, every call rejects with */
export function createClients(services: () => ClientServices, loadHttps: LoadHttps): Clients {
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
  };
}
