import { createServer } from "node:net";

// Below the range from which Linux and macOS take the ports of outgoing connections, so that nothing is given one of
// these between our look and the server's start.
const LOWEST = 15_000;
const HIGHEST = 32_000;

/** Finds `count` different ports that nothing listens on at 127.0.0.1. */
export async function freePorts(count) {
  const held = [];
  try {
    for (let attempt = 0; held.length < count; attempt++) {
      if (attempt === count + 1_000)
        throw new Error(`No ${count} free ports between ${LOWEST} and ${HIGHEST}.`);
      const server = await listen(LOWEST + Math.floor(Math.random() * (HIGHEST - LOWEST)));
      if (server) held.push(server);
    }
    return held.map((server) => server.address().port);
  } finally {
    await Promise.all(held.map((server) => new Promise((closed) => server.close(closed))));
  }
}

function listen(port) {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(undefined));
    server.listen(port, "127.0.0.1", () => resolve(server));
  });
}
