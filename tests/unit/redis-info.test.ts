import { parseInfo } from "../../functions/src/redis/redis-probe";

/** What the servers say first; the rest is the same in both. */
const info = (...lines: string[]) =>
  ["# Server", ...lines, "", "# Replication", "role:master", ""].join("\r\n");

test.each([
  ["Redis", ["redis_version:7.0.15", "redis_mode:cluster"], "cluster"],
  ["Redis", ["redis_version:7.0.15", "redis_mode:standalone"], "standalone"],
  [
    "Valkey",
    ["redis_version:7.2.4", "server_name:valkey", "valkey_version:8.0.2", "server_mode:cluster"],
    "cluster",
  ],
  [
    "Valkey",
    ["redis_version:7.2.4", "server_name:valkey", "valkey_version:8.0.2", "server_mode:standalone"],
    "standalone",
  ],
])("%s: %j is %s", (_, lines, topology) => {
  expect(parseInfo(info(...lines))).toMatchObject({ topology, role: "master" });
});
