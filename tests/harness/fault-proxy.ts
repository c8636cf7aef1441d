import { connect, createServer, type AddressInfo, type Socket } from "node:net";

/**
 * What becomes of a piece of data. `stall`: it waits until the proxy heals, and all that follows with it. `drop`: it is
 * lost, as is all that follows, and the connection stays silent for good. `cut`: it is lost and the connection reset.
 * `truncate` and `cut-midway`: half of it passes, and the rest goes as by `drop` or `cut`.
 */
export type Fate =
  "pass" | "stall" | "drop" | "cut" | "truncate" | "cut-midway" | { readonly delayMs: number };

/** What becomes of data in each direction, and of new connections. Without a fault they pass. */
export interface Faults {
  readonly requests?: Fate | ((data: Buffer) => Fate);
  readonly replies?: Fate | ((data: Buffer) => Fate);
  /** Resets who connects. */
  readonly refuse?: boolean;
}

export interface FaultProxy {
  readonly port: number;
  /** Replaces the faults, of connections there are and of those to come. */
  set(faults: Faults): void;
  /** Ends the faults; what stalled arrives. What was dropped or truncated has left its connection silent. */
  heal(): void;
  /** Resets the next connection on which such a request is sent, once it is replied to and before the reply passes. */
  cutReplyTo(request: RegExp): void;
  /** Resets every connection. */
  reset(): void;
  /** Connects everyone who comes from now on to another server; connections that there are stay as they are. */
  switchTo(targetPort: number): void;
  close(): void;
}

export interface FaultProxyOptions {
  /** Ignores that clients close their side, as a server does that hangs. */
  readonly staysOpen?: boolean;
}

/** A TCP proxy on 127.0.0.1 that passes everything on until it is told of a fault. */
export async function startFaultProxy(
  targetPort: number,
  { staysOpen = false }: FaultProxyOptions = {},
): Promise<FaultProxy> {
  const links = new Set<Link>();
  let faults: Faults = {};
  let target = targetPort;
  let cutAt: RegExp | undefined;

  const listener = createServer({ allowHalfOpen: staysOpen, noDelay: true }, (client) => {
    if (faults.refuse) return void client.resetAndDestroy();
    const server = connect({ port: target, host: "127.0.0.1", noDelay: true });
    const link = new Link(client, server);
    links.add(link);
    let replyIsCut = false;
    client.on("data", (data) => {
      if (cutAt?.test(data.toString())) {
        replyIsCut = true;
        cutAt = undefined;
      }
      link.requests.take(data, fateOf(faults.requests, data));
    });
    server.on("data", (data) => link.replies.take(data, replyIsCut ? "cut" : fateOf(faults.replies, data)));
    client.on("close", () => links.delete(link));
    if (staysOpen) client.on("end", () => server.end());
  }).listen(0, "127.0.0.1");
  await new Promise((resolve) => listener.once("listening", resolve));

  return {
    port: (listener.address() as AddressInfo).port,
    set: (next) => void (faults = next),
    heal() {
      faults = {};
      for (const { requests, replies } of links) {
        requests.release();
        replies.release();
      }
    },
    cutReplyTo: (request) => void (cutAt = request),
    reset() {
      for (const link of links) link.reset();
    },
    switchTo: (port) => void (target = port),
    close() {
      listener.close();
      for (const link of links) link.reset();
    },
  };
}

function fateOf(fate: Faults["requests"], data: Buffer): Fate {
  return (typeof fate === "function" ? fate(data) : fate) ?? "pass";
}

/** A client's connection and the server's. */
class Link {
  readonly requests: Channel;
  readonly replies: Channel;
  readonly #client: Socket;
  readonly #server: Socket;

  constructor(client: Socket, server: Socket) {
    this.#client = client;
    this.#server = server;
    this.requests = new Channel(server, () => this.reset());
    this.replies = new Channel(client, () => this.reset());
    client.on("close", () => server.destroy()).on("error", () => server.destroy());
    server.on("close", () => client.destroy()).on("error", () => client.destroy());
  }

  reset(): void {
    this.#client.resetAndDestroy();
    this.#server.destroy();
  }
}

/** One direction of a connection, in which everything keeps its order. */
class Channel {
  readonly #to: Socket;
  readonly #reset: () => void;
  readonly #stalled: Buffer[] = [];
  #silent = false;
  #delayed = 0;
  #last: Promise<void> = Promise.resolve();

  constructor(to: Socket, reset: () => void) {
    this.#to = to;
    this.#reset = reset;
  }

  take(data: Buffer, fate: Fate): void {
    if (this.#silent) return;
    if (typeof fate === "object") return this.#delay(data, fate.delayMs);
    if (fate === "stall" || (fate === "pass" && this.#stalled.length > 0))
      return void this.#stalled.push(data);
    if (fate === "pass") return this.#delayed > 0 ? this.#delay(data, 0) : this.#write(data);
    if (fate === "truncate" || fate === "cut-midway") this.#write(data.subarray(0, data.length >> 1));
    if (fate === "drop" || fate === "truncate") this.#silent = true;
    // After what was written before, which a reset at once would discard.
    else setImmediate(this.#reset);
  }

  release(): void {
    for (const data of this.#stalled.splice(0)) this.#write(data);
  }

  #delay(data: Buffer, delayMs: number): void {
    const dueMs = performance.now() + delayMs;
    this.#delayed++;
    this.#last = this.#last
      .then(() => new Promise((resolve) => setTimeout(resolve, dueMs - performance.now())))
      .then(() => {
        this.#delayed--;
        this.#write(data);
      });
  }

  #write(data: Buffer): void {
    if (!this.#to.destroyed) this.#to.write(data);
  }
}
