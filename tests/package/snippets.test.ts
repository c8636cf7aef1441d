import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";

import { installPacked } from "../harness/packed-package.ts";

const ROOT = path.resolve(__dirname, "../..");
const TSC = path.join(ROOT, "node_modules/typescript/bin/tsc");

const DOCUMENTS = [
  "README.md",
  "PREINSTALL.md",
  "POSTINSTALL.md",
  "functions/README.md",
  ...readdirSync(path.join(ROOT, "docs"))
    .filter((file) => file.endsWith(".md"))
    .map((file) => `docs/${file}`),
];

/** What snippets use without declaring it: the reader's app, and what the snippet above them declares. */
const CONTEXT = `
declare global {
  const { onCall, onRequest }: typeof import("firebase-functions/v2/https");
  const { withQuota, withRateLimit, withHttpRateLimit, rateLimitMiddleware }: typeof import("firestore-redis-quota/lib");
  const { quota, limiter, sessions }: import("firestore-redis-quota/lib").RedisQuota;
  const { getFunctions, httpsCallable }: typeof import("firebase/functions");
  const functions: import("firebase/functions").Functions;
  const app: import("firebase/app").FirebaseApp & import("express").Express;
  const providers: import("firebase-admin/firestore").CollectionReference;
  const user: { readonly uid: string };
  const requestId: string;
  const id: string;
  const answerChat: (
    request: import("firebase-functions/v2/https").CallableRequest<{ providerId: string }>,
  ) => Promise<string>;
  const receive: (
    request: import("firebase-functions/v2/https").Request,
    response: import("express").Response,
  ) => void;
  const serve: typeof receive;
  const cors: typeof import("cors");
}
export {};`;

/** The TypeScript blocks of a document, by the line that each begins at. */
function snippets(document: string): [line: number, code: string][] {
  const text = readFileSync(path.join(ROOT, document), "utf8");
  return Array.from(text.matchAll(/^ *```ts\n(.*?)^ *```$/gms), ({ index, 1: code }) => [
    text.slice(0, index).split("\n").length + 1,
    code!,
  ]);
}

test("every TypeScript snippet of the documents compiles against the packed package", () => {
  const app = mkdtempSync(path.join(ROOT, ".tmp/package/snippets-"));
  installPacked(app);
  writeFileSync(path.join(app, "context.d.ts"), CONTEXT);
  const found = DOCUMENTS.flatMap((document) =>
    snippets(document).map(([line, code]) => ({
      name: `${document.replaceAll("/", "_")}_${line}.mts`,
      code,
    })),
  );
  expect(found.length).toBeGreaterThan(10);
  for (const { name, code } of found) writeFileSync(path.join(app, name), `${code}\nexport {};\n`);
  const compilerOptions = {
    noEmit: true,
    strict: true,
    skipLibCheck: true,
    target: "es2022",
    module: "node16",
    types: ["node"],
  };
  writeFileSync(path.join(app, "tsconfig.json"), JSON.stringify({ compilerOptions }));
  const { stdout, status } = spawnSync(process.execPath, [TSC], { cwd: app, encoding: "utf8" });
  expect(stdout).toBe("");
  expect(status).toBe(0);
}, 120_000);

test("no snippet escapes the check as plain JavaScript", () => {
  const unchecked = DOCUMENTS.filter((document) =>
    /^ *```(js|jsx|tsx|mjs|javascript|typescript)$/m.test(readFileSync(path.join(ROOT, document), "utf8")),
  );
  expect(unchecked).toEqual([]);
});
