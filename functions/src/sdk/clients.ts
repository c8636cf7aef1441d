import type { QuotaService, RerunClaim } from "../quota/quota-service";
import type { RateLimiter } from "../rate-limit/rate-limiter";
import type { SessionData, SessionFields, SessionObject } from "../session/session-data";
import type { SessionLife, SessionService } from "../session/session-service";
import { readOptions } from "../validation";
import { createLimiter, type Limiter } from "./limiter";
import type { LoadHttps } from "./load-https";
import type { QuotaClient } from "./with-quota";

/** Sessions of an app's users. */
export interface SessionClient extends Pick<SessionService, "get" | "touch" | "destroy"> {
  /** Like `SessionService.set`, for data of any type whose fields are session values, interfaces included. */
  set<Data extends SessionObject & SessionFields<Data>>(
    sessionId: string,
    data: Data,
    life?: SessionLife,
  ): Promise<void>;
}

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

const CONSUME_OPTIONS = ["cost", "idempotencyKey"] as const;
const CLAIM_OPTIONS = ["idempotencyKey", "source"] as const;
const SESSION_LIFE = ["ttlSeconds"] as const;

/** @param services those of the first call; what it throws, every call rejects with */
export function createClients(services: () => ClientServices, loadHttps: LoadHttps): Clients {
  return {
    quota: {
      check: async (providerId) => services().quotaService.check(providerId),
      consume: async (providerId, options) =>
        services().quotaService.consume(providerId, readOptions(options, CONSUME_OPTIONS)),
      refund: async (providerId, options) =>
        services().quotaService.refund(providerId, readOptions(options, CONSUME_OPTIONS)),
      invalidate: async (providerId) => services().quotaService.invalidate(providerId),
      claimRerun: async (providerId, call) =>
        services().quotaService.claimRerun(providerId, readOptions(call, CLAIM_OPTIONS) as RerunClaim),
    },
    limiter: createLimiter(() => services().rateLimiter, loadHttps),
    sessions: {
      get: async (sessionId) => services().sessionService.get(sessionId),
      set: async (sessionId, data, life) =>
        services().sessionService.set(
          sessionId,
          data as unknown as SessionData,
          readOptions(life, SESSION_LIFE),
        ),
      touch: async (sessionId, life) =>
        services().sessionService.touch(sessionId, readOptions(life, SESSION_LIFE)),
      destroy: async (sessionId) => services().sessionService.destroy(sessionId),
    },
  };
}
