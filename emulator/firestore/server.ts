import { ServerCredentials } from "@grpc/grpc-js";
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, type Socket, createServer as createTcpServer } from "node:net";
import { CallSwitches } from "./call-faults.ts";
import { Databases } from "./databases.ts";
import { Events } from "./events.ts";
import { FunctionsEmulator } from "./functions-emulator.ts";
import { createGrpcServer } from "./grpc-server.ts";
import { createHttpApi } from "./http-api.ts";

/** What a connection that speaks HTTP/2 begins with; no HTTP/1 method does. */
const HTTP2_PREFACE = Buffer.from("PRI");
/** After this a connection that has said nothing is closed. */
const SILENCE_TIMEOUT_MS = 30_000;

export interface FirestoreServerOptions {
  host?: string;
  /** 0 for any free port. */
  port?: number;
  /** `host:port` of the Functions emulator, to which events go; may be set later. */
  functionsEmulator?: string;
  /** How far its clock is ahead of the machine's; negative for behind. */
  clockOffsetMs?: number;
}

export interface FirestoreServer {
  host: string;
  port: number;
  databases: Databases;
  functionsEmulator: FunctionsEmulator;
  close(): Promise<void>;
}

/**
 * Starts a stand-in for Google's Firestore emulator: gRPC and HTTP on one port, data in memory.
 *
 * @example
 * const server = await startFirestoreServer();
 * process.env.FIRESTORE_EMULATOR_HOST = `${server.host}:${server.port}`;
 */
export async function startFirestoreServer(options: FirestoreServerOptions = {}): Promise<FirestoreServer> {
  const { host = "127.0.0.1", port = 0, clockOffsetMs = 0 } = options;
  const functionsEmulator = new FunctionsEmulator(options.functionsEmulator);
  const events = new Events((event) => functionsEmulator.send(event));
  const databases = new Databases((name, changes) => events.onCommit(name, changes), clockOffsetMs);
  const callSwitches = new CallSwitches();
  const grpcServer = createGrpcServer(databases, callSwitches);
  const grpcConnections = grpcServer.createConnectionInjector(ServerCredentials.createInsecure());
  const httpServer = createHttpServer(createHttpApi({ databases, events, callSwitches, functionsEmulator }));

  const sockets = new Set<Socket>();
  const listener = createTcpServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => socket.destroy());
    passOn(socket, {
      http1: () => httpServer.emit("connection", socket),
      http2: () => grpcConnections.injectConnection(socket),
    });
  });
  await new Promise<void>((resolve, reject) => {
    listener.once("error", reject);
    listener.listen(port, host, resolve);
  });

  return {
    host,
    port: (listener.address() as AddressInfo).port,
    databases,
    functionsEmulator,
    async close() {
      const closed = new Promise((resolve) => listener.close(resolve));
      grpcServer.forceShutdown();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

/** Waits for what the client says first, and passes the connection on as if nothing had been read. */
function passOn(socket: Socket, to: { http1: () => void; http2: () => void }): void {
  let beginning = Buffer.alloc(0);
  socket.setTimeout(SILENCE_TIMEOUT_MS, () => socket.destroy());
  socket.on("data", function read(chunk: Buffer) {
    beginning = Buffer.concat([beginning, chunk]);
    const compared = Math.min(beginning.length, HTTP2_PREFACE.length);
    const isHttp2 = beginning.subarray(0, compared).equals(HTTP2_PREFACE.subarray(0, compared));
    if (isHttp2 && compared < HTTP2_PREFACE.length) return;
    socket.off("data", read);
    socket.setTimeout(0);
    socket.removeAllListeners("timeout");
    socket.pause();
    socket.unshift(beginning);
    if (isHttp2) {
      to.http2();
    } else {
      to.http1();
      socket.resume();
    }
  });
}
