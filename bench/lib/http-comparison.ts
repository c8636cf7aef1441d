import { join } from "node:path";
import type { Redis } from "ioredis";
import type { ComparisonTable } from "./comparison.ts";
import { httpRequestsPerSecond } from "./http-load.ts";
import { median } from "./measure.ts";
import { type ServerProcess, startServer } from "./server-process.ts";

const SERVER = join(import.meta.dirname, "limited-server.ts");
const CONNECTIONS = 64;
const MS_PER_TURN = 500;
const RUNS = 7;
const TURNS = 2;

/**
 * Compares what users get: an HTTP server that decides one request by a limiter and answers, under load from another
 * process (this one).
 */
export async function compareHttpServers(
  table: ComparisonTable,
  { redisPort, client, nextSubject }: { redisPort: number; client: Redis; nextSubject: () => string },
): Promise<void> {
  const servers: ServerProcess[] = [];
  const start = async (which: "this" | "peer" | "none") => {
    const server = await startServer(SERVER, [which, String(redisPort)]);
    servers.push(server);
    return Number(server.greeting);
  };
  try {
    const ports = { this: await start("this"), peer: await start("peer"), none: await start("none") };
    const load = (port: number) => httpRequestsPerSecond(port, CONNECTIONS, MS_PER_TURN, nextSubject);
    for (const port of Object.values(ports)) for (let i = 0; i < 3; i++) await load(port);

    /** Processor time of one request in the server, and of that in Redis. */
    const cpuUs = async (port: number) => {
      const before = [await serverCpuUs(port), await redisCpuUs(client)] as const;
      const { requests } = await load(port);
      const after = [await serverCpuUs(port), await redisCpuUs(client)] as const;
      return (after[0] - before[0] + after[1] - before[1]) / requests;
    };
    const bare: number[] = [];
    for (let i = 0; i < RUNS; i++) bare.push(await cpuUs(ports.none));
    const ofLimiter = (port: number) => async () => {
      // What the server costs without a limiter drifts with the machine.
      bare.shift();
      bare.push(await cpuUs(ports.none));
      return [(await cpuUs(port)) - median(bare)];
    };
    await table.compare(
      { name: `http@${CONNECTIONS}`, unit: "requests/s", goal: { atLeast: 1.2 } },
      {
        ours: async () => [(await load(ports.this)).perSecond],
        theirs: async () => [(await load(ports.peer)).perSecond],
        runs: RUNS,
        turns: TURNS,
      },
    );
    await table.compare(
      { name: "cpu", unit: "us/decision", goal: { atMost: 0.4 } },
      { ours: ofLimiter(ports.this), theirs: ofLimiter(ports.peer), runs: RUNS, turns: TURNS },
    );
  } finally {
    for (const server of servers) server.stop();
  }
}

async function serverCpuUs(port: number): Promise<number> {
  return Number(await (await fetch(`http://127.0.0.1:${port}/cpu`)).text());
}

async function redisCpuUs(client: Redis): Promise<number> {
  const info = await client.info("cpu");
  const seconds = (name: string) => Number(new RegExp(`${name}:([\\d.]+)`).exec(info)![1]);
  return (seconds("used_cpu_user") + seconds("used_cpu_sys")) * 1e6;
}
