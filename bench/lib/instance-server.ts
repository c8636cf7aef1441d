/**
 * An instance of one function, a process of its own for function-instance.ts. As in Cloud Functions, the code of the HTTP
 * server is there before that of the function, of which no other export is looked at.
 *
 *   node bench/lib/instance-server.ts <file> <function>
 *
 * Prints its port. `GET /costs` answers what the instance has cost so far; `POST /` is a call.
 */
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import express, { type RequestHandler } from "express";

const [file, name] = process.argv.slice(2);
const require = createRequire(import.meta.url);

const loadedFromMs = performance.now();
const handle = (require(file!) as Record<string, RequestHandler>)[name!]!;
const loadMs = performance.now() - loadedFromMs;
let firstCallMs: number | undefined;

const server = express()
  .get("/costs", (_request, response) => {
    response.json({ load: loadMs, "first-call": loadMs + firstCallMs! });
  })
  .post("/", express.json(), (request, response, next) => {
    const calledAtMs = performance.now();
    response.on("finish", () => (firstCallMs ??= performance.now() - calledAtMs));
    return handle(request, response, next);
  })
  .listen(0, "127.0.0.1", () => console.log((server.address() as AddressInfo).port));
