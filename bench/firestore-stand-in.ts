/**
 * Is the stand-in Firestore fast enough to test, demonstrate and migrate with 100,000 providers, through Google's own
 * client, on one machine?
 *
 *   node bench/firestore-stand-in.ts [--documents 100000] [--json]
 *
 * The stand-in runs in a process of its own, as it does under the Firebase CLI; client and server share the machine.
 * `--json` prints the figures as the last line.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { cpus } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { FieldPath, type QueryDocumentSnapshot, Firestore } from "@google-cloud/firestore";
import clientPackage from "@google-cloud/firestore/package.json" with { type: "json" };

const { values: options } = parseArgs({
  options: { documents: { type: "string", default: "100000" }, json: { type: "boolean", default: false } },
});
const DOCUMENTS = Number(options.documents);
const BATCH_SIZE = 500;

interface Figure {
  name: string;
  value: number;
  unit: "/s" | "ms";
}
const figures: Figure[] = [];

function report(figure: Figure): void {
  figures.push(figure);
  console.log(
    `${figure.name.padEnd(58)} ${Math.round(figure.value).toLocaleString("en-US").padStart(10)} ${figure.unit}`,
  );
}

/** Runs the work and reports how many of its items went by per second. */
async function rate(name: string, items: number, work: () => Promise<unknown>): Promise<void> {
  const startMs = performance.now();
  await work();
  report({ name, value: items / ((performance.now() - startMs) / 1_000), unit: "/s" });
}

/** Runs the work a few times and reports the median duration. */
async function latency(name: string, work: () => Promise<unknown>, runs = 9): Promise<void> {
  const durationsMs: number[] = [];
  for (let run = 0; run < runs; run++) {
    const startMs = performance.now();
    await work();
    durationsMs.push(performance.now() - startMs);
  }
  report({ name, value: durationsMs.sort((left, right) => left - right)[runs >> 1] ?? NaN, unit: "ms" });
}

/** Keeps so many pieces of work going until all are done. */
async function concurrently(
  width: number,
  count: number,
  work: (i: number) => Promise<unknown>,
): Promise<void> {
  let next = 0;
  await Promise.all(
    Array.from({ length: width }, async () => {
      while (next < count) await work(next++);
    }),
  );
}

const main = join(import.meta.dirname, "../emulator/firestore/main.ts");
const server = spawn(process.execPath, [main, "--port", "0"], { stdio: ["ignore", "pipe", "inherit"] });
const [greeting] = (await once(server.stdout, "data")) as [Buffer];
process.env["FIRESTORE_EMULATOR_HOST"] = /[\d.]+:\d+/.exec(greeting.toString())?.[0];
process.env["METADATA_SERVER_DETECTION"] = "none";
const db = new Firestore({ projectId: "demo-bench" });

console.log(
  `${cpus().length} x ${cpus()[0]?.model.trim()}, Node ${process.version}, client ${clientPackage.version}`,
);
console.log(`${DOCUMENTS.toLocaleString("en-US")} documents\n`);

try {
  const providers = db.collection("providers");
  const id = (i: number): string => `provider-${String(i).padStart(6, "0")}`;
  const any = (): number => Math.floor(Math.random() * DOCUMENTS);
  const provider = (i: number): object => ({
    aiCallsUsed: i % 1_000,
    aiCallsLimit: 1_000,
    name: `Provider ${i}`,
    active: true,
  });

  await rate(`writes in batches of ${BATCH_SIZE}, 4 at a time`, DOCUMENTS, () =>
    concurrently(4, DOCUMENTS / BATCH_SIZE, (batchIndex) => {
      const batch = db.batch();
      for (let i = batchIndex * BATCH_SIZE; i < (batchIndex + 1) * BATCH_SIZE; i++)
        batch.set(providers.doc(id(i)), provider(i));
      return batch.commit();
    }),
  );
  await rate("writes by BulkWriter, unthrottled", DOCUMENTS / 5, () => {
    const writer = db.bulkWriter({ throttling: false });
    for (let i = 0; i < DOCUMENTS / 5; i++)
      void writer.update(providers.doc(id(i)), { aiCallsUsed: (i % 1_000) + 1 });
    return writer.close();
  });
  await rate("single writes, 64 at a time", 10_000, () =>
    concurrently(64, 10_000, () => providers.doc(id(any())).update({ aiCallsUsed: any() % 1_000 })),
  );
  await rate("single reads, 64 at a time", 20_000, () =>
    concurrently(64, 20_000, () => providers.doc(id(any())).get()),
  );
  await rate("transactions (read, update), 16 at a time", 4_000, () =>
    concurrently(16, 4_000, (i) =>
      db.runTransaction(async (transaction) => {
        const reference = providers.doc(id((i * 7_919) % DOCUMENTS));
        const used = Number((await transaction.get(reference)).get("aiCallsUsed"));
        transaction.update(reference, { aiCallsUsed: (used + 1) % 1_000 });
      }),
    ),
  );
  await rate("documents read by getAll, 100 at a time", 50_000, () =>
    concurrently(4, 500, () => db.getAll(...Array.from({ length: 100 }, () => providers.doc(id(any()))))),
  );
  await rate("documents read by paging through all, 1,000 at a time", DOCUMENTS, async () => {
    for (let last: QueryDocumentSnapshot | undefined; ;) {
      const query = providers.orderBy(FieldPath.documentId()).limit(1_000);
      const page = await (last ? query.startAfter(last) : query).get();
      last = page.docs.at(-1);
      if (page.size < 1_000) break;
    }
  });
  await latency("one page of 100 in the middle", () =>
    providers.orderBy(FieldPath.documentId()).startAfter(id(any())).limit(100).get(),
  );
  await latency('where("aiCallsUsed", ">=", 900).limit(50)', () =>
    providers.where("aiCallsUsed", ">=", 900).limit(50).get(),
  );
  await latency('where("aiCallsUsed", "==", 500), some 100 results', () =>
    providers.where("aiCallsUsed", "==", 500).get(),
  );
  await latency('orderBy("name", "desc").limit(10)', () => providers.orderBy("name", "desc").limit(10).get());
  await latency("count() of all", () => providers.count().get());
  await latency("listDocuments() of all", () => providers.listDocuments(), 1);
} finally {
  await db.terminate();
  server.kill("SIGTERM");
}
if (options.json) console.log(JSON.stringify({ documents: DOCUMENTS, node: process.version, figures }));
