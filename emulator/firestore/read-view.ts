import type { OpenDatabase } from "./databases.ts";
import { type FieldPath, project } from "./field-paths.ts";
import { invalidArgument } from "./grpc-error.ts";
import type { Consistency, Document, Timestamp } from "./protocol.ts";
import type { Query, QueryResult } from "./queries.ts";
import { type Micros, microsOf, timestampOf } from "./timestamps.ts";
import type { Transaction } from "./transactions.ts";
import type { StoredDocument } from "./writes.ts";

/** What one request sees: the database at one time, and through a transaction if it reads in one. */
export class ReadView {
  readonly time: Micros;
  readonly readTime: Timestamp;
  /** The id of the transaction that this request began. */
  readonly begun: Buffer | undefined;
  readonly #open: OpenDatabase;
  readonly #transaction: Transaction | undefined;

  constructor(open: OpenDatabase, request: Consistency) {
    const { database, transactions } = open;
    this.#open = open;
    switch (request.consistencySelector) {
      case "transaction":
        this.#transaction = transactions.get(request.transaction ?? Buffer.alloc(0));
        break;
      case "newTransaction":
        this.#transaction = transactions.begin(request.newTransaction ?? {});
        this.begun = this.#transaction.id;
        break;
      case "readTime":
        if (!request.readTime) throw invalidArgument("read_time is missing.");
        database.checkReadTime(microsOf(request.readTime));
        break;
      case undefined:
        break;
    }
    this.time =
      this.#transaction?.snapshot ??
      (request.readTime ? microsOf(request.readTime) : database.clock.forRead());
    this.readTime = timestampOf(this.time);
  }

  get(path: string): StoredDocument | undefined {
    this.#transaction?.readDocument(path);
    return this.#open.database.get(path, this.time);
  }

  run(query: Query): QueryResult[] {
    this.#transaction?.readQuery((change) => query.couldSee(change));
    return query.run(this.time);
  }
}

/** A document as responses carry it, with the masked fields or all. */
export function toDocument(
  databaseName: string,
  path: string,
  { fields, createTime, updateTime }: StoredDocument,
  mask: readonly FieldPath[] | undefined,
): Document {
  return {
    name: `${databaseName}/documents/${path}`,
    fields: mask ? project(fields, mask) : fields,
    createTime: timestampOf(createTime),
    updateTime: timestampOf(updateTime),
  };
}
