import { parseServiceConfig } from "../functions/dist/config/config.js";
import { createLogs } from "../functions/dist/observability/logs.js";
import type { QuotaMode } from "../functions/dist/quota/quota-service.js";
import { createServices, type Services } from "../functions/dist/services.js";
import { PARAMS, type Stack } from "./stack.ts";

/** The built package's services in this process, on the demo's Redis and Firestore. */
export function openServices({ providers, redisServer }: Stack, mode: QuotaMode): Services {
  const config = parseServiceConfig({
    ...PARAMS,
    REDIS_HOST: "127.0.0.1",
    REDIS_PORT: String(redisServer.port),
    MODE: mode,
  });
  return createServices(
    config,
    () => providers.firestore,
    createLogs(() => {}),
  );
}
