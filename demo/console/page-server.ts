import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Messages } from "./messages.ts";
import { buildPage, type PageFile } from "./page-files.ts";

const HOST = "127.0.0.1";
const MAX_BODY_BYTES = 10_000;

/** The page's own files, and the emulators on this machine. */
const CONTENT_SECURITY_POLICY = `default-src 'self'; connect-src 'self' http://${HOST}:*; frame-ancestors 'none'`;

/** What a request asks for cannot be done; the message is for who asked. */
export class ControlError extends Error {}

/** Does what a control of the page asks for, and returns the answer; undefined where there is no such control. */
export type AnswerControl = (name: string, ask: unknown) => Promise<object> | undefined;

/** Told what to send to a page that has just connected. */
export type Greet = (send: Send) => void;
export type Send = <Name extends keyof Messages>(name: Name, message: Messages[Name]) => void;

/** Serves the page on 127.0.0.1, tells it what happens by server-sent events, and passes on what its controls ask for. */
export class PageServer {
  readonly #server: Server;
  readonly #files: Map<string, PageFile>;
  readonly #pages = new Set<ServerResponse>();
  readonly #answerControl: AnswerControl;
  readonly #greet: Greet;

  private constructor(files: Map<string, PageFile>, answerControl: AnswerControl, greet: Greet) {
    this.#files = files;
    this.#answerControl = answerControl;
    this.#greet = greet;
    this.#server = createServer((request, response) => void this.#answer(request, response));
  }

  static async start(answerControl: AnswerControl, greet: Greet): Promise<PageServer> {
    const server = new PageServer(await buildPage(), answerControl, greet);
    server.#server.listen(0, HOST);
    await once(server.#server, "listening");
    return server;
  }

  get url(): string {
    return `http://${this.#host}`;
  }

  /** Tells every open page. */
  readonly send: Send = (name, message) => {
    for (const page of this.#pages) page.write(eventText(name, message));
  };

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  get #host(): string {
    return `${HOST}:${(this.#server.address() as AddressInfo).port}`;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method, url = "/", headers } = request;
    response.setHeader("Cache-Control", "no-store");
    // A site that lets its own name point here would have another host.
    if (headers.host !== this.#host) return fail(response, 421, `This is ${this.url}.`);
    const file = this.#files.get(url);
    if (method === "GET" && file) {
      response.setHeader("Content-Security-Policy", CONTENT_SECURITY_POLICY);
      response.writeHead(200, { "Content-Type": file.contentType }).end(file.body);
    } else if (method === "GET" && url === "/events") {
      this.#connect(response);
    } else if (method === "POST" && url.startsWith("/controls/")) {
      await this.#control(url.slice("/controls/".length), request, response);
    } else {
      fail(response, 404, `There is no ${method} ${url}.`);
    }
  }

  #connect(response: ServerResponse): void {
    response.writeHead(200, { "Content-Type": "text/event-stream" });
    this.#greet((name, message) => response.write(eventText(name, message)));
    this.#pages.add(response);
    response.on("close", () => this.#pages.delete(response));
  }

  async #control(name: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    // A page of another site can send a form here, but neither this origin nor, unasked, JSON.
    const { origin, "content-type": contentType } = request.headers;
    if (origin !== undefined && origin !== this.url)
      return fail(response, 403, "Only the console's own page may.");
    if (contentType !== "application/json") return fail(response, 415, "The body must be application/json.");
    try {
      const answer = await this.#answerControl(name, await readJson(request));
      if (!answer) return fail(response, 404, `There is no control ${name}.`);
      response.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify(answer));
    } catch (error) {
      fail(response, error instanceof ControlError ? 400 : 500, (error as Error).message);
    }
  }
}

function eventText(name: string, message: unknown): string {
  return `event: ${name}\ndata: ${JSON.stringify(message)}\n\n`;
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  let text = "";
  request.setEncoding("utf8");
  for await (const chunk of request) {
    text += chunk as string;
    if (text.length > MAX_BODY_BYTES) throw new ControlError(`The body is over ${MAX_BODY_BYTES} bytes.`);
  }
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new ControlError("The body is not JSON.");
  }
}

function fail(response: ServerResponse, status: number, error: string): void {
  response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify({ error }));
}
