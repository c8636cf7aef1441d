import type { IncomingMessage, RequestListener } from "node:http";
import type { CallSwitches } from "./call-faults.ts";
import type { Databases } from "./databases.ts";
import type { ReleaseOrder } from "./deliveries.ts";
import { parseDeliveryFaults } from "./delivery-faults.ts";
import type { Events } from "./events.ts";
import { InvalidFaults } from "./faults.ts";
import type { FunctionsEmulator } from "./functions-emulator.ts";
import { InvalidTrigger, parseFirstGenTrigger, parseSecondGenTrigger } from "./triggers.ts";

interface Api {
  databases: Databases;
  events: Events;
  callSwitches: CallSwitches;
  functionsEmulator: FunctionsEmulator;
}

interface Call {
  params: Record<string, string>;
  query: URLSearchParams;
  body: unknown;
}

type Answer = (call: Call) => unknown;

/** A request that cannot be understood; the message says why. */
class BadRequest extends Error {}

const RELEASE_ORDERS: readonly ReleaseOrder[] = ["commit", "reverse", "random"];

/** The HTTP side: what the Functions emulator and the Firebase CLI ask of Google's emulator, and the switches. */
export function createHttpApi(api: Api): RequestListener {
  const routes = [...emulatorRoutes(api), ...deliveryRoutes(api), ...callRoutes(api)];
  return (request, response) => {
    const url = new URL(request.url ?? "/", "http://localhost");
    void answer(routes, request, url)
      .then(
        (body) => ({ status: body === undefined ? 404 : 200, body: body ?? notFound(request, url) }),
        (error: unknown) => failure(error),
      )
      .then(({ status, body }) => {
        const isText = typeof body === "string";
        response.writeHead(status, { "content-type": isText ? "text/plain" : "application/json" });
        response.end(isText ? body : JSON.stringify(body));
      });
  };
}

type Route = [method: string, pattern: string, answer: Answer];

function emulatorRoutes({ databases, events }: Api): Route[] {
  return [
    ["GET", "/", () => "Ok\n"],

    [
      "PUT",
      "/emulator/v1/projects/:project/triggers/:key",
      ({ params, body }) => {
        events.register(parseFirstGenTrigger(params["key"] ?? "", body));
        return {};
      },
    ],

    [
      "POST",
      "/emulator/v1/projects/:project/eventarcTrigger",
      ({ params, query, body }) => {
        const key = query.get("eventarcTriggerId");
        if (!key) throw new BadRequest("eventarcTriggerId must be given.");
        events.register(parseSecondGenTrigger(params["project"] ?? "", key, body));
        return {};
      },
    ],

    [
      "DELETE",
      "/emulator/v1/projects/:project/databases/:database/documents",
      ({ params }) => {
        databases.get(`projects/${params["project"]}/databases/${params["database"]}`).database.clear();
        return {};
      },
    ],
  ];
}

function deliveryRoutes({ events, functionsEmulator }: Api): Route[] {
  const deliveries = ({ params }: Call) => events.deliveriesOf(params["project"] ?? "");
  const path = "/stand-in/v1/projects/:project/deliveries";
  const state = (call: Call): object => ({ faults: deliveries(call).faults, stats: deliveries(call).stats });
  return [
    ["GET", path, state],

    [
      "PUT",
      path,
      (call) => {
        deliveries(call).setFaults(parseDeliveryFaults(call.body));
        return state(call);
      },
    ],

    [
      "DELETE",
      path,
      (call) => {
        deliveries(call).reset();
        return state(call);
      },
    ],

    [
      "POST",
      `${path}/hold`,
      (call) => {
        deliveries(call).hold();
        return state(call);
      },
    ],

    [
      "POST",
      `${path}/release`,
      (call) => {
        const { order = "commit" } = (call.body ?? {}) as { order?: ReleaseOrder };
        if (!RELEASE_ORDERS.includes(order)) {
          throw new BadRequest(
            `order must be one of ${RELEASE_ORDERS.join(", ")}, not ${JSON.stringify(order)}.`,
          );
        }
        return { released: deliveries(call).release(order) };
      },
    ],

    [
      "POST",
      `${path}/redeliver`,
      (call) => {
        const {
          document,
          at = -1,
          trigger,
        } = (call.body ?? {}) as { document?: unknown; at?: unknown; trigger?: unknown };
        if (typeof document !== "string") throw new BadRequest("document must be the path of a document.");
        if (typeof at !== "number" || !Number.isInteger(at)) throw new BadRequest("at must be an integer.");
        if (trigger !== undefined && typeof trigger !== "string")
          throw new BadRequest("trigger must be a key.");
        return {
          redelivered: deliveries(call).redeliver({
            document,
            at,
            ...(trigger !== undefined && { trigger }),
          }),
        };
      },
    ],

    [
      "PUT",
      "/stand-in/v1/functions-emulator",
      ({ body }) => {
        const { address } = (body ?? {}) as { address?: unknown };
        if (typeof address !== "string" || !/^.+:\d+$/.test(address))
          throw new BadRequest("address must be host:port.");
        functionsEmulator.address = address;
        return { address };
      },
    ],
  ];
}

function callRoutes({ callSwitches }: Api): Route[] {
  const path = "/stand-in/v1/calls";
  const set = (faults: unknown): object => {
    callSwitches.set(faults);
    return callSwitches.state;
  };
  return [
    ["GET", path, () => callSwitches.state],
    ["PUT", path, ({ body }) => set(body)],
    ["DELETE", path, () => set({})],
  ];
}

async function answer(routes: readonly Route[], request: IncomingMessage, url: URL): Promise<unknown> {
  const body = await readJson(request);
  for (const [method, pattern, handle] of routes) {
    const params = method === request.method ? matchPath(pattern, url.pathname) : undefined;
    if (params) return handle({ params, query: url.searchParams, body });
  }
  return undefined;
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  let text = "";
  request.setEncoding("utf8");
  for await (const chunk of request) text += chunk as string;
  if (text === "") return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new BadRequest("The body is not JSON.");
  }
}

function matchPath(pattern: string, path: string): Record<string, string> | undefined {
  const expected = pattern.split("/");
  const actual = path.split("/");
  if (expected.length !== actual.length) return undefined;
  const params: Record<string, string> = {};
  for (const [i, segment] of expected.entries()) {
    const value = decodeURIComponent(actual[i] ?? "");
    if (segment.startsWith(":")) params[segment.slice(1)] = value;
    else if (segment !== value) return undefined;
  }
  return params;
}

function notFound(request: IncomingMessage, url: URL): object {
  return { error: `${request.method} ${url.pathname} is not implemented by the stand-in Firestore.` };
}

function failure(error: unknown): { status: number; body: object } {
  const isCallers =
    error instanceof BadRequest || error instanceof InvalidFaults || error instanceof InvalidTrigger;
  const message = error instanceof Error ? error.message : String(error);
  return { status: isCallers || error instanceof URIError ? 400 : 500, body: { error: message } };
}
