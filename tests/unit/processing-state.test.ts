import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { json } from "node:stream/consumers";

import { deleteApp, getApp, initializeApp } from "firebase-admin/app";

import { backfillTasks } from "../../functions/src/backfill-tasks";

/** Stands for the API that the console's state of an extension is in, which has no emulator. */
let server: Server;
const received: unknown[] = [];

beforeAll(async () => {
  server = createServer((request, response) => {
    void json(request).then((body) => {
      received.push({ method: request.method, url: request.url, body });
      response.setHeader("Content-Type", "application/json").end("{}");
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  process.env["FIREBASE_EXT_URL"] = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  // As the functions of an extension have them.
  Object.assign(process.env, { PROJECT_ID: "demo-p", EXT_INSTANCE_ID: "my-quota" });
  const getAccessToken = () => Promise.resolve({ access_token: "owner", expires_in: 3600 });
  initializeApp({ projectId: "demo-p", credential: { getAccessToken } });
});

afterAll(async () => {
  await deleteApp(getApp());
  server.closeAllConnections();
  server.close();
});

test("an extension's state is told to the console, and a kit has none", async () => {
  await backfillTasks("europe-west1", "my-quota").report("PROCESSING_COMPLETE", "3 documents are in Redis.");
  expect(received).toEqual([
    {
      method: "PATCH",
      url: "/v1beta/projects/demo-p/instances/my-quota/runtimeData",
      body: { processingState: { state: "PROCESSING_COMPLETE", detailMessage: "3 documents are in Redis." } },
    },
  ]);
  await backfillTasks("europe-west1", undefined).report("NONE", "Backfilling.");
  expect(received).toHaveLength(1);
});
