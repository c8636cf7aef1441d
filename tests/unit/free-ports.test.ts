import { createServer } from "node:net";
import { freePorts } from "../../scripts/free-ports.mjs";

test("the ports differ, and all can be listened on at once", async () => {
  const ports = await freePorts(20);
  expect(new Set(ports).size).toBe(20);
  const servers = ports.map((port) => createServer().listen(port, "127.0.0.1"));
  await Promise.all(servers.map((server) => new Promise((resolve) => server.once("listening", resolve))));
  for (const server of servers) server.close();
});
