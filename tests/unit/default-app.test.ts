import { deleteApp, getApps, initializeApp } from "firebase-admin/app";

import { defaultApp } from "../../functions/src/default-app";
import { lazily } from "../../functions/src/lazily";
import { createLogs } from "../../functions/src/observability/logs";
import { PolicyDocuments } from "../../functions/src/rate-limit/policy-documents";

afterEach(async () => {
  await Promise.all(getApps().map((app) => deleteApp(app)));
});

test("the default app is used, however many others there are", () => {
  initializeApp({ projectId: "legacy" }, "legacy");
  const app = initializeApp({ projectId: "main" });
  expect(defaultApp()).toBe(app);
});

test("without a default app one is initialized", () => {
  initializeApp({ projectId: "legacy" }, "legacy");
  const app = defaultApp("main");
  expect([app.name, app.options.projectId]).toEqual(["[DEFAULT]", "main"]);
  expect(defaultApp()).toBe(app);
});

test("what could not be made is made by the next call", async () => {
  let calls = 0;
  const onSnapshot = (next: (snapshot: object) => void) => {
    next({ docs: [] });
    return () => {};
  };
  const stub = { collection: () => ({ onSnapshot }) };
  const firestore = lazily(() => {
    if (++calls === 1) throw new Error("no credentials");
    return stub as never;
  });
  const documents = new PolicyDocuments(
    firestore,
    "policies",
    [],
    createLogs(() => {}),
  );
  await expect(documents.policies()).rejects.toThrow("no credentials");
  expect(await documents.policies()).toEqual(new Map());
  documents.close();
});
