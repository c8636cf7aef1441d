import { readFileSync } from "node:fs";
import { startRedis } from "../scripts/redis-server.mjs";
import { createLimiter, connectLikeTheProduct } from "./lib/limiters.ts";
import { callsPerSecond } from "./lib/measure.ts";
import { RateLimiterRedis } from "rate-limiter-flexible";
const redis = await startRedis();
const W = 3_600_000;
const { limiter, connection } = createLimiter(redis.port, ["fixed-window", "sliding-window", "token-bucket"].map((algorithm) => ({
  name: algorithm, by: "uid", limits: [{ algorithm, limit: 1_000_000, windowMs: W }] })));
const client = connectLikeTheProduct(redis.port);
const flexible = new RateLimiterRedis({ storeClient: client, points: 1000000, duration: W / 1000, keyPrefix: "rlf" });
const subjects = Array.from({ length: 1000 }, (_, i) => `subject-${i}`);
let next = 0;
const s = () => subjects[(next = (next + 7919) % 1000)]!;
const redisCpu = async () => { const info = await client.info("cpu"); const get = (n: string) => Number(new RegExp(`${n}:(.*)`).exec(info)![1]); return (get("used_cpu_user") + get("used_cpu_sys")) * 1e6; };
const _=0;
const which = (process.argv[2] ?? "fixed-window,sliding-window,token-bucket,rlf").split(",");
const callers = (process.argv[3] ?? "64,256,1024").split(",").map(Number);
const ms = Number(process.argv[4] ?? 600);
const works: Record<string, () => Promise<unknown>> = { rlf: () => flexible.consume(s(), 1) };
for (const a of ["fixed-window", "sliding-window", "token-bucket"]) works[a] = () => limiter.check(a, s());
for (const w of which) await callsPerSecond(256, 500, works[w]!);
for (const n of callers) for (const w of which) {
  const best: number[][] = [];
  for (let i = 0; i < 5; i++) {
    const r0 = await redisCpu(), c0 = process.cpuUsage(), t0 = performance.now();
    const rate = await callsPerSecond(n, ms, works[w]!);
    const t = (performance.now() - t0) / 1000;
    const c = process.cpuUsage(c0), r = (await redisCpu()) - r0;
    const count = rate * t;
    best.push([rate, (c.user + c.system) / count, r / count]);
  }
  best.sort((a, b) => a[0]! - b[0]!);
  const m = best[2]!;
  console.log(`${w}@${n}`.padEnd(22), Math.round(m[0]!).toLocaleString("en").padStart(10), "/s  node", m[1]!.toFixed(2), "us  redis", m[2]!.toFixed(2), "us");
}
client.disconnect(); connection.close(); await redis.stop();
