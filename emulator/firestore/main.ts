import { parseArgs } from "node:util";
import { startFirestoreServer } from "./server.ts";

const { values } = parseArgs({
  options: {
    host: { type: "string", default: "127.0.0.1" },
    port: { type: "string", default: "8080" },
    "functions-emulator": { type: "string" },
    "clock-offset-ms": { type: "string", default: "0" },
  },
});
const functionsEmulator = values["functions-emulator"];
const server = await startFirestoreServer({
  host: values.host,
  port: Number(values.port),
  clockOffsetMs: Number(values["clock-offset-ms"]),
  ...(functionsEmulator && { functionsEmulator }),
});
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => void server.close().then(() => process.exit()));
}
console.log(`Firestore stand-in listening on ${server.host}:${server.port}.`);
