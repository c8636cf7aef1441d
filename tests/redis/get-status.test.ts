import type { CallableRequest } from "firebase-functions/v2/https";
import { parseConfig } from "../../functions/src/config/config";
import { checkRateLimit } from "../../functions/src/handlers/check-rate-limit";
import { getStatus } from "../../functions/src/handlers/get-status";
import { createServices } from "../../functions/src/services";
import { startRedis } from "../../scripts/redis-server.mjs";
import { recordLogs } from "../harness/recorded-logs.ts";
import { testRedisPort, uniquePrefix } from "../harness/test-redis.ts";

const noFirestore = () => {
  throw new Error("Firestore is not to be asked.");
};

const call = { auth: { uid: "operator", token: { admin: true } }, data: null } as unknown as CallableRequest;

test("a bad policy stops rate limits only, and the status reports it", async () => {
  const config = parseConfig({
    REDIS_HOST: "127.0.0.1",
    REDIS_PORT: String(testRedisPort()),
    REDIS_TIMEOUT_MS: "2000",
    KEY_PREFIX: uniquePrefix(),
    RATE_LIMIT_POLICIES: '[{"name":"p","by":"uid","limits":[]}]',
    VPC_CONNECTOR: "projects/test/locations/europe-west1/connectors/test",
  });
  const { logs, events } = recordLogs();
  const { close, ...services } = createServices(config, noFirestore, logs);
  const context = () => ({ config, ...services });
  try {
    const data = { aiCallsUsed: 1, aiCallsLimit: 5 };
    await services.quotaMirror.mirror({
      providerId: "ada",
      path: "providers/ada",
      data,
      version: 1,
      created: 1,
      asOfMs: Date.now(),
    });
    expect(await services.quotaService.check("ada")).toMatchObject({ used: 1, limit: 5, source: "redis" });
    expect(await services.quotaSync.unsynced()).toMatchObject({ pendingProviders: 0 });
    const limited = { ...call, data: { policy: "p" } } as CallableRequest;
    for (let i = 0; i < 2; i++)
      await expect(checkRateLimit(limited, context)).rejects.toMatchObject({
        code: "failed-precondition",
        message: "Invalid configuration (RATE_LIMIT_POLICIES); the function's log says why.",
      });
    expect(events().filter((event) => event === "config_invalid")).toHaveLength(1);
    expect(await getStatus(call, context)).toMatchObject({
      policyProblems: ["Expected `RATE_LIMIT_POLICIES[0].limits` to be an array of 1 to 8 limits; got []."],
      redis: { reachable: true },
    });
  } finally {
    close();
  }
});

test("a Redis that answers INFO and nothing more is an answer, and no error", async () => {
  const server = await startRedis({ args: ["--rename-command", "ZCARD", ""] });
  const config = parseConfig({
    REDIS_HOST: "127.0.0.1",
    REDIS_PORT: String(server.port),
    REDIS_TIMEOUT_MS: "2000",
    VPC_CONNECTOR: "projects/test/locations/europe-west1/connectors/test",
  });
  const { close, ...services } = createServices(config, noFirestore, recordLogs().logs);
  try {
    const status = await getStatus(call, () => ({ config, ...services }));
    expect(status).toMatchObject({ mode: config.quota.mode, redis: { reachable: true }, unsynced: null });
    expect(status.all).toMatchObject({ hits: 0, decisions: {} });
  } finally {
    close();
    await server.stop();
  }
});
