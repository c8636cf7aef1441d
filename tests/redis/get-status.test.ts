import type { CallableRequest } from "firebase-functions/v2/https";
import { parseConfig } from "../../functions/src/config/config";
import { getStatus } from "../../functions/src/handlers/get-status";
import { createServices } from "../../functions/src/services";
import { startRedis } from "../../scripts/redis-server.mjs";
import { recordLogs } from "../harness/recorded-logs.ts";

const noFirestore = () => {
  throw new Error("Firestore is not to be asked.");
};

const call = { auth: { uid: "operator", token: { admin: true } }, data: null } as unknown as CallableRequest;

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
