import { parseServiceConfig } from "../../functions/src/config/config";
import { createLogs, type LogSink } from "../../functions/src/observability/logs";
import { createServices } from "../../functions/src/services";
import { startRedis } from "../../scripts/redis-server.mjs";
import { waitFor } from "../harness/wait-for.ts";

type Entry = Parameters<LogSink>[0];

const POLICY = { name: "api", by: "ip", limits: [{ algorithm: "fixed-window", limit: 1000, window: "1 m" }] };

test("an instance tells when the circuit to a Redis that hangs opens, and when it closes again", async () => {
  const server = await startRedis();
  const config = parseServiceConfig({
    REDIS_HOST: "127.0.0.1",
    REDIS_PORT: String(server.port),
    REDIS_TIMEOUT_MS: "300",
    RATE_LIMIT_POLICIES: JSON.stringify([POLICY]),
  });
  const entries: Entry[] = [];
  const noFirestore = () => {
    throw new Error("Firestore is not to be asked.");
  };
  const { rateLimiter, metrics, close } = createServices(
    config,
    noFirestore,
    createLogs((entry) => void entries.push(entry)),
  );
  let callers = 0;
  const ask = () => rateLimiter.check("api", `10.0.0.${callers++}`);
  try {
    await waitFor(async () => (await ask()).source === "redis", { what: "a decision by Redis" });
    await server.kill("SIGSTOP");
    while (metrics.counts().circuit === "closed") expect(await ask()).toMatchObject({ source: "local" });
    expect(metrics.counts()).toMatchObject({ circuitOpened: 1, circuitClosed: 0 });
    await server.kill("SIGCONT");
    await waitFor(async () => (await ask()).source === "redis", { what: "a decision by Redis" });
    expect(metrics.counts()).toMatchObject({ circuit: "closed", circuitOpened: 1, circuitClosed: 1 });
    const events = entries.map(({ event }) => event);
    expect(events.filter((event) => event === "redis_circuit_opened")).toHaveLength(1);
    const { rateLimitFallbacks, decisions } = metrics.counts();
    expect(rateLimitFallbacks).toBeGreaterThan(0);
    expect(decisions["api"]!["local"]!.allowed).toBe(rateLimitFallbacks);
    expect(decisions["api"]!["redis"]!.allowed).toBeGreaterThanOrEqual(2);
  } finally {
    close();
    await server.stop();
  }
});
