import { once } from "node:events";
import { connect, type Socket } from "node:net";

/** How every answer of limited-server.ts to an allowed request ends. */
const END = Buffer.from("\r\n\r\nok");

/**
 * Requests per second of so many connections, each asking again once it is answered. Sockets without an HTTP client, so
 * that the load costs less than what it measures.
 *
 * @throws Error if a request is answered by anything but 200
 */
export async function httpRequestsPerSecond(
  port: number,
  connections: number,
  forMs: number,
  nextPath: () => string,
): Promise<{ readonly requests: number; readonly perSecond: number }> {
  const sockets = await Promise.all(Array.from({ length: connections }, () => open(port)));
  const start = performance.now();
  let requests = 0;
  try {
    await Promise.all(
      sockets.map((socket) =>
        askAgainAndAgain(socket, nextPath, () => {
          requests++;
          return performance.now() - start < forMs;
        }),
      ),
    );
  } finally {
    for (const socket of sockets) socket.destroy();
  }
  return { requests, perSecond: requests / ((performance.now() - start) / 1000) };
}

async function open(port: number): Promise<Socket> {
  const socket = connect(port, "127.0.0.1").setNoDelay(true);
  await once(socket, "connect");
  return socket;
}

function askAgainAndAgain(socket: Socket, nextPath: () => string, goOn: () => boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    const ask = () => socket.write(`GET /${nextPath()} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    // An answer is small enough to arrive in one piece.
    socket.on("data", (answer) => {
      if (!answer.subarray(9, 12).equals(Buffer.from("200")) || !answer.subarray(-END.length).equals(END))
        return reject(new Error(`answered ${answer.toString()}`));
      if (goOn()) ask();
      else resolve();
    });
    socket.on("close", () => reject(new Error("The server closed the connection.")));
    socket.on("error", reject);
    ask();
  });
}
