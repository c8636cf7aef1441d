import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { PubsubServer } from "../../emulator/pubsub/pubsub-server.ts";
import { freePorts } from "../../scripts/free-ports.mjs";
import { waitFor } from "../harness/wait-for.ts";

interface Delivery {
  url: string;
  contentType: string;
  body: Record<string, never>;
}

let deliveries: Delivery[];
let failures: string[];
let functionsStatus: number;
let functions: Server;
let pubsub: PubsubServer;
let origin: string;

beforeEach(async () => {
  deliveries = [];
  failures = [];
  functionsStatus = 200;
  functions = createServer((request, response) => {
    void text(request).then((body) => {
      deliveries.push({
        url: request.url ?? "",
        contentType: request.headers["content-type"] ?? "",
        body: JSON.parse(body) as Record<string, never>,
      });
      response.writeHead(functionsStatus).end();
    });
  });
  await new Promise<void>((listening) => functions.listen(0, "127.0.0.1", listening));
  const { port: functionsPort } = functions.address() as AddressInfo;

  const [port] = await freePorts(1);
  pubsub = new PubsubServer({
    projectId: "demo",
    functionsHost: () => `127.0.0.1:${functionsPort}`,
    onFailedDelivery: (reason) => failures.push(reason),
  });
  await pubsub.listen("127.0.0.1", port!);
  origin = `http://127.0.0.1:${port}`;
});

afterEach(async () => {
  await pubsub.close();
  functions.close();
});

async function post(path: string, body: string): Promise<{ status: number; body: unknown }> {
  const response = await fetch(`${origin}${path}`, { method: "POST", body });
  return { status: response.status, body: await response.json() };
}

const publish = (topic: string, ...messages: object[]): ReturnType<typeof post> =>
  post(`/v1/projects/demo/topics/${topic}:publish`, JSON.stringify({ messages }));

test("a message reaches each function of its topic, in the form that the function takes", async () => {
  pubsub.addTrigger("nightly", "gen1", "event");
  pubsub.addTrigger("nightly", "gen2", "cloudevent");
  pubsub.addTrigger("other", "unrelated", "event");

  const { status, body } = await publish("nightly", { data: "aGk=", attributes: { scheduled: "true" } });
  expect(status).toBe(200);
  const [messageId] = (body as { messageIds: string[] }).messageIds;

  await waitFor(() => deliveries.length === 2, { what: "two deliveries" });
  const to = (key: string): Delivery | undefined => deliveries.find(({ url }) => url.endsWith(`/${key}`));
  expect(to("gen1")).toMatchObject({
    url: "/functions/projects/demo/triggers/gen1",
    contentType: "application/json",
    body: {
      context: {
        eventId: messageId,
        eventType: "google.pubsub.topic.publish",
        resource: { service: "pubsub.googleapis.com", name: "projects/demo/topics/nightly" },
      },
      data: { data: "aGk=", attributes: { scheduled: "true" } },
    },
  });
  expect(to("gen2")).toMatchObject({
    contentType: "application/cloudevents+json; charset=UTF-8",
    body: {
      id: messageId,
      type: "google.cloud.pubsub.topic.v1.messagePublished",
      source: "//pubsub.googleapis.com/projects/demo/topics/nightly",
      data: { message: { data: "aGk=", attributes: { scheduled: "true" } } },
    },
  });
});

test("a trigger that is registered again is delivered to once", async () => {
  pubsub.addTrigger("nightly", "gen1", "event");
  pubsub.addTrigger("nightly", "gen1", "event");
  await publish("nightly", {}, {});
  await waitFor(() => deliveries.length === 2, { what: "one delivery for each of two messages" });
});

test("a delivery that the function refuses is reported", async () => {
  functionsStatus = 500;
  pubsub.addTrigger("nightly", "gen1", "event");
  await publish("nightly", {});
  await waitFor(() => failures.length === 1, { what: "the report" });
  expect(failures[0]).toMatch(/^nightly to gen1: 500/);
});

test.each([
  [
    "a topic without functions",
    "/v1/projects/demo/topics/unknown:publish",
    '{"messages":[{}]}',
    404,
    "NOT_FOUND",
  ],
  ["a body that is not JSON", "/v1/projects/demo/topics/nightly:publish", "{", 400, "INVALID_ARGUMENT"],
  ["a body without messages", "/v1/projects/demo/topics/nightly:publish", "{}", 400, "INVALID_ARGUMENT"],
  ["anything else", "/v1/projects/demo/subscriptions/s:pull", "{}", 501, "UNIMPLEMENTED"],
])("%s is refused", async (_, path, body, code, status) => {
  expect(await post(path, body)).toMatchObject({ status: code, body: { error: { code, status } } });
});
