import { connect, createServer, type AddressInfo, type Socket } from "node:net";

export interface HeldProxy {
  readonly port: number;
  /** Connects everyone who waits, and everyone who comes later. */
  release(): void;
  close(): void;
}

/** A TCP proxy that accepts connections and passes nothing on until it is released: a server that hangs. */
export async function startHeldProxy(targetPort: number): Promise<HeldProxy> {
  const sockets = new Set<Socket>();
  let waiting: Socket[] | undefined = [];
  const pass = (client: Socket) => {
    const server = connect(targetPort, "127.0.0.1");
    sockets.add(server);
    client.pipe(server).pipe(client);
    client.on("error", () => server.destroy()).on("close", () => server.destroy());
    server.on("error", () => client.destroy()).on("close", () => client.destroy());
  };
  const listener = createServer((client) => {
    sockets.add(client);
    client.on("error", () => client.destroy());
    if (waiting) waiting.push(client);
    else pass(client);
  }).listen(0, "127.0.0.1");
  await new Promise((resolve) => listener.once("listening", resolve));
  return {
    port: (listener.address() as AddressInfo).port,
    release() {
      const clients = waiting ?? [];
      waiting = undefined;
      for (const client of clients) if (!client.destroyed) pass(client);
    },
    close() {
      listener.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
