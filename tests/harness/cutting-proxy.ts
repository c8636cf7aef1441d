import { connect, createServer, type AddressInfo, type Socket } from "node:net";

export interface CuttingProxy {
  readonly port: number;
  /** Cuts the next connection on which such a command is sent, once the server has replied and before the reply passes. */
  cutReplyTo(command: RegExp): void;
  close(): void;
}

/** A TCP proxy before Redis that loses a reply: what was asked was done, and the asker cannot know. */
export async function startCuttingProxy(targetPort: number): Promise<CuttingProxy> {
  const sockets = new Set<Socket>();
  let pattern: RegExp | undefined;
  const listener = createServer((client) => {
    const server = connect(targetPort, "127.0.0.1");
    sockets.add(client).add(server);
    let cut = false;
    client.on("data", (data) => {
      if (pattern?.test(data.toString())) {
        cut = true;
        pattern = undefined;
      }
      server.write(data);
    });
    server.on("data", (data) => (cut ? client.destroy() : client.write(data)));
    client.on("close", () => server.destroy()).on("error", () => server.destroy());
    server.on("close", () => client.destroy()).on("error", () => client.destroy());
  }).listen(0, "127.0.0.1");
  await new Promise((resolve) => listener.once("listening", resolve));
  return {
    port: (listener.address() as AddressInfo).port,
    cutReplyTo: (command) => void (pattern = command),
    close() {
      listener.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
