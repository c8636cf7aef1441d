import { connect, createServer, type AddressInfo, type Socket } from "node:net";

export interface SwitchedProxy {
  readonly port: number;
  /** Connects everyone who comes from now on to another server; connections that there are stay as they are. */
  switchTo(targetPort: number): void;
  close(): void;
}

/** A TCP proxy that stands for the address of a service, behind which servers take over from each other. */
export async function startSwitchedProxy(targetPort: number): Promise<SwitchedProxy> {
  const sockets = new Set<Socket>();
  let target = targetPort;
  const listener = createServer((client) => {
    const server = connect(target, "127.0.0.1");
    sockets.add(client).add(server);
    client.pipe(server).pipe(client);
    client.on("error", () => server.destroy()).on("close", () => server.destroy());
    server.on("error", () => client.destroy()).on("close", () => client.destroy());
  }).listen(0, "127.0.0.1");
  await new Promise((resolve) => listener.once("listening", resolve));
  return {
    port: (listener.address() as AddressInfo).port,
    switchTo: (port) => void (target = port),
    close() {
      listener.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
