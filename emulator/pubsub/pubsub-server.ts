import { randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";

/** How a function takes its events: gen-1 functions as `event`, gen-2 functions as `cloudevent`. */
export type Signature = "event" | "cloudevent";

export interface PubsubServerOptions {
  projectId: string;
  /** Where the Functions emulator listens, `host:port`; asked for at each delivery. */
  functionsHost: () => string;
  /** Told of each delivery that failed. */
  onFailedDelivery: (reason: string) => void;
}

interface Trigger {
  key: string;
  signature: Signature;
}

/** A message as publishers send it; `data` is base64. */
interface PublishedMessage {
  data?: string;
  attributes?: Record<string, string>;
}

interface Message {
  id: string;
  data: string;
  attributes: Record<string, string>;
  publishTime: string;
}

const PUBLISH_PATH = /^\/v1\/projects\/([^/]+)\/topics\/([^/:]+):publish$/;

/**
 * The little of Pub/Sub that schedules need: messages published over REST are delivered to the functions triggered by
 * their topic. Whatever else is asked for is refused by name.
 */
export class PubsubServer {
  readonly #options: PubsubServerOptions;
  readonly #triggers = new Map<string, Trigger[]>();
  readonly #server: Server;

  constructor(options: PubsubServerOptions) {
    this.#options = options;
    this.#server = createServer((request, response) => void this.#answer(request, response));
  }

  listen(host: string, port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(port, host, resolve);
    });
  }

  close(): Promise<void> {
    this.#server.closeAllConnections();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }

  addTrigger(topic: string, key: string, signature: Signature): void {
    const triggers = this.#triggers.get(topic) ?? [];
    if (triggers.some((trigger) => trigger.key === key)) return;
    this.#triggers.set(topic, [...triggers, { key, signature }]);
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const publish = request.method === "POST" && PUBLISH_PATH.exec(request.url ?? "");
    if (!publish) {
      return fail(
        response,
        501,
        "UNIMPLEMENTED",
        `${request.method} ${request.url} is not part of this stand-in.`,
      );
    }
    const messages = parseMessages(await readBody(request));
    if (!messages) {
      return fail(response, 400, "INVALID_ARGUMENT", "The body is to be {messages: [{data, attributes}]}.");
    }
    const topic = decodeURIComponent(publish[2]!);
    const triggers = this.#triggers.get(topic);
    if (!triggers) {
      const known = [...this.#triggers.keys()].join(", ") || "none";
      return fail(
        response,
        404,
        "NOT_FOUND",
        `No function is triggered by the topic ${topic}. Topics: ${known}.`,
      );
    }
    const accepted = messages.map(accept);
    reply(response, 200, { messageIds: accepted.map((message) => message.id) });
    for (const message of accepted)
      for (const trigger of triggers) void this.#deliver(topic, message, trigger);
  }

  async #deliver(topic: string, message: Message, { key, signature }: Trigger): Promise<void> {
    const { projectId, functionsHost, onFailedDelivery } = this.#options;
    const resource = `projects/${projectId}/topics/${topic}`;
    const [contentType, event] =
      signature === "cloudevent"
        ? ["application/cloudevents+json; charset=UTF-8", cloudEvent(resource, message)]
        : ["application/json", legacyEvent(resource, message)];
    try {
      const response = await fetch(
        `http://${functionsHost()}/functions/projects/${projectId}/triggers/${key}`,
        {
          method: "POST",
          headers: { "Content-Type": contentType },
          body: JSON.stringify(event),
        },
      );
      if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
    } catch (error) {
      onFailedDelivery(`${topic} to ${key}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
}

function legacyEvent(resource: string, message: Message): object {
  return {
    context: {
      eventId: message.id,
      resource: { service: "pubsub.googleapis.com", name: resource },
      eventType: "google.pubsub.topic.publish",
      timestamp: message.publishTime,
    },
    data: {
      "@type": "type.googleapis.com/google.pubsub.v1.PubsubMessage",
      data: message.data,
      attributes: message.attributes,
    },
  };
}

function cloudEvent(resource: string, message: Message): object {
  return {
    specversion: "1.0",
    id: message.id,
    time: message.publishTime,
    type: "google.cloud.pubsub.topic.v1.messagePublished",
    source: `//pubsub.googleapis.com/${resource}`,
    data: {
      message: {
        messageId: message.id,
        publishTime: message.publishTime,
        attributes: message.attributes,
        data: message.data,
      },
      subscription: `${resource.replace("/topics/", "/subscriptions/emulator-sub-")}`,
    },
  };
}

function accept({ data = "", attributes = {} }: PublishedMessage): Message {
  return { id: randomUUID(), data, attributes, publishTime: new Date().toISOString() };
}

function parseMessages(body: string): PublishedMessage[] | undefined {
  try {
    const { messages } = JSON.parse(body) as { messages?: unknown };
    return Array.isArray(messages) ? (messages as PublishedMessage[]) : undefined;
  } catch {
    return undefined;
  }
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

function fail(response: ServerResponse, code: number, status: string, message: string): void {
  reply(response, code, { error: { code, status, message } });
}

function reply(response: ServerResponse, code: number, body: object): void {
  response.writeHead(code, { "Content-Type": "application/json" }).end(JSON.stringify(body));
}
