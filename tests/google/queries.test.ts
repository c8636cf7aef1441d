import { randomUUID } from "node:crypto";
import fc from "fast-check";
import { type FirestoreServer, startFirestoreServer } from "../../emulator/firestore/server.ts";
import { FirestoreClient } from "../emulator-firestore/raw-client.ts";
import { googleAddress } from "../harness/google-firestore.ts";
import { PATHS, type RandomQuery, anyFields, anyQuery } from "./random-queries.ts";

/** Another seed asks other queries. */
const SEED = Number(process.env["FRQ_SEED"] ?? 1);
const PATIENCE_MS = 120_000;

let server: FirestoreServer;
let standIn: FirestoreClient;
let google: FirestoreClient;
beforeAll(async () => {
  const project = `demo-${randomUUID()}`;
  server = await startFirestoreServer();
  standIn = new FirestoreClient(`${server.host}:${server.port}`, project);
  google = new FirestoreClient(googleAddress(), project);
});
afterAll(async () => {
  standIn.close();
  google.close();
  await server.close();
});

interface Answer {
  document?: { name: string };
  result?: { aggregateFields: object };
}

/** The names that a query finds, in order, or the code of its refusal. */
async function answerOf(client: FirestoreClient, method: string, request: object): Promise<unknown> {
  try {
    const answers = (await client.stream(method, request)) as Answer[];
    return answers.flatMap(({ document, result }) => document?.name ?? result?.aggregateFields ?? []);
  } catch (error) {
    return `code ${(error as { code: number }).code}`;
  }
}

async function expectAlike(method: string, request: object): Promise<void> {
  const [actual, expected] = await Promise.all(
    [standIn, google].map((client) => answerOf(client, method, request)),
  );
  expect(actual).toEqual(expected);
}

const nameOf = (path: string) => google.nameOf(path);
const parentOf = (path: string) => (path ? nameOf(path) : `${google.database}/documents`);

async function write(documents: Record<string, object>): Promise<void> {
  const writes = Object.entries(documents).map(([path, fields]) => ({
    update: { name: nameOf(path), fields },
  }));
  await Promise.all([standIn, google].map((client) => client.commit(writes)));
}

test(
  "the stand-in answers random queries as Google's emulator does",
  async () => {
    const fields = fc.sample(anyFields(nameOf), { numRuns: PATHS.length, seed: SEED });
    await write(Object.fromEntries(PATHS.map((path, i) => [path, fields[i]!])));
    await fc.assert(
      fc.asyncProperty(anyQuery(nameOf), ({ parent, structuredQuery }: RandomQuery) =>
        expectAlike("RunQuery", { parent: parentOf(parent), structuredQuery }),
      ),
      // Enough for the faults that this was written for; emulator/README.md has the command for more.
      { numRuns: Number(process.env["FRQ_RUNS"] ?? 600), seed: SEED },
    );
  },
  PATIENCE_MS,
);
