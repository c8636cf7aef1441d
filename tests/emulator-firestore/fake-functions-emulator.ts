import { type IncomingHttpHeaders, createServer } from "node:http";
import type { AddressInfo } from "node:net";

export interface ReceivedEvent {
  /** The trigger's key. */
  trigger: string;
  headers: IncomingHttpHeaders;
  body: string;
}

/** Takes events where the Functions emulator would, and keeps them. */
export class FakeFunctionsEmulator {
  readonly received: ReceivedEvent[] = [];
  /** What it answers; may wait, or be undefined to cut the connection. */
  respond: (event: ReceivedEvent) => Promise<number | undefined> | number | undefined = () => 200;
  readonly #server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const trigger = decodeURIComponent(request.url?.split("/triggers/")[1] ?? "");
      const event = { trigger, headers: request.headers, body: Buffer.concat(chunks).toString("latin1") };
      this.received.push(event);
      void Promise.resolve(this.respond(event)).then((status) => {
        if (status === undefined) request.socket.destroy();
        else response.writeHead(status).end();
      });
    });
  });

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  stop(): Promise<void> {
    this.#server.closeAllConnections();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }
}

/** Registers a gen-1 function for writes of documents, as the Functions emulator does. */
export async function registerFirstGen(
  address: string,
  project: string,
  key: string,
  path: string,
  kind = "write",
): Promise<void> {
  const eventTrigger = {
    eventType: `providers/cloud.firestore/eventTypes/document.${kind}`,
    resource: `projects/${project}/databases/(default)/documents/${path}`,
    service: "firestore.googleapis.com",
  };
  await send("PUT", `http://${address}/emulator/v1/projects/${project}/triggers/${key}`, { eventTrigger });
}

/** Registers a gen-2 function likewise. */
export async function registerSecondGen(
  address: string,
  project: string,
  key: string,
  path: string,
  kind = "written",
): Promise<void> {
  await send(
    "POST",
    `http://${address}/emulator/v1/projects/${project}/eventarcTrigger?eventarcTriggerId=${key}`,
    {
      eventType: `google.cloud.firestore.document.v1.${kind}`,
      database: "(default)",
      namespace: "(default)",
      document: { value: path, matchType: path.includes("{") ? "PATH_PATTERN" : "EXACT" },
    },
  );
}

async function send(method: string, url: string, body: object): Promise<void> {
  const response = await fetch(url, { method, body: JSON.stringify(body) });
  if (!response.ok) throw new Error(`${method} ${url} answered ${response.status}: ${await response.text()}`);
}
