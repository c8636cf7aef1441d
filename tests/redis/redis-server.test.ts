import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { join } from "node:path";
import { startRedis } from "../../scripts/redis-server.mjs";
import { connectRedis } from "../harness/test-redis.ts";
import { waitFor } from "../harness/wait-for.ts";

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    socket.once("connect", () => socket.destroy());
  });
}

test("a server that was killed starts again on its port, without its data", async () => {
  const server = await startRedis();
  const client = connectRedis(server.port).on("error", () => {});
  try {
    await client.set("key", "value");
    const { pid } = server;
    await server.kill();
    await server.restart();
    expect(server.pid).not.toBe(pid);
    expect(await client.get("key")).toBeNull();
  } finally {
    client.disconnect();
    await server.stop();
  }
});

test("settings are passed on", async () => {
  const server = await startRedis({ args: ["--maxmemory", "3mb"] });
  const client = connectRedis(server.port);
  try {
    expect(await client.config("GET", "maxmemory")).toEqual(["maxmemory", String(3 * 1024 * 1024)]);
  } finally {
    client.disconnect();
    await server.stop();
  }
});

test("a setting that Redis refuses is reported in its words", async () => {
  await expect(startRedis({ args: ["--no-such-setting", "1"] })).rejects.toThrow("no-such-setting");
});

test("a server ends with the process that started it, even if that is killed", async () => {
  const module = join(import.meta.dirname, "..", "..", "scripts", "redis-server.mjs");
  const owner = spawn(process.execPath, [
    "--input-type=module",
    "--eval",
    `const { port } = await (await import(${JSON.stringify(module)})).startRedis();
     process.stdout.write(String(port));
     setInterval(() => {}, 1_000);`,
  ]);
  const [printed] = (await once(owner.stdout, "data")) as [Buffer];
  const port = Number(printed.toString());
  expect(await isListening(port)).toBe(true);
  owner.kill("SIGKILL");
  await waitFor(async () => !(await isListening(port)), { what: "the end of the server" });
});
