import { execFileSync } from "node:child_process";
import { cpus } from "node:os";
import ioredisPackage from "ioredis/package.json" with { type: "json" };

/** What figures depend on, in one line: processors and versions. */
export function describeMachine(): string {
  const redis = redisVersion();
  const processors = `${cpus().length} x ${cpus()[0]?.model.trim()}`;
  return `${processors}, Node ${process.version}, Redis ${redis}, ioredis ${ioredisPackage.version}`;
}

function redisVersion(): string {
  try {
    return /v=([\d.]+)/.exec(execFileSync("redis-server", ["--version"], { encoding: "utf8" }))?.[1] ?? "?";
  } catch {
    return "in Docker";
  }
}
