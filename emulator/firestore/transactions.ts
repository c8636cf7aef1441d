import { randomBytes } from "node:crypto";
import type { DocumentChange } from "./change-log.ts";
import { aborted, invalidArgument } from "./grpc-error.ts";
import type { TransactionOptions, Write } from "./protocol.ts";
import type { CommitResult, Database } from "./store.ts";
import { type Micros, microsOf } from "./timestamps.ts";

/** As in production, a transaction ends at the latest after this time. */
const MAX_LIFETIME_MS = 270_000;

/** Whether a query could see a change, looking at the document before and after it. */
export type ChangePredicate = (change: DocumentChange) => boolean;

/**
 * A transaction reads the database as it was at one time, its snapshot, and remembers what it read. Its commit is
 * refused if any of that has changed since, so that committed transactions are serialisable: nothing is locked, nobody
 * waits, and of two that conflict the later one is aborted and retried by its client. Queries are remembered by what
 * they look for rather than by what they found, which keeps phantoms out.
 */
export class Transaction {
  readonly id = randomBytes(16);
  readonly readOnly: boolean;
  readonly expiresAtMs = Date.now() + MAX_LIFETIME_MS;
  readonly #database: Database;
  readonly #documents = new Set<string>();
  readonly #queries: ChangePredicate[] = [];
  #snapshot: Micros | undefined;

  constructor(database: Database, options: TransactionOptions) {
    this.#database = database;
    this.readOnly = options.mode === "readOnly";
    const readTime = options.readOnly?.readTime;
    if (!readTime) return;
    this.#snapshot = microsOf(readTime);
    database.checkReadTime(this.#snapshot);
  }

  /** The time that it reads at: its first read's, unless a read time was asked for. */
  get snapshot(): Micros {
    this.#snapshot ??= this.#database.clock.forRead();
    if (this.#snapshot < this.#database.log.horizon) throw expired();
    return this.#snapshot;
  }

  readDocument(path: string): void {
    if (!this.readOnly) this.#documents.add(path);
  }

  readQuery(couldSee: ChangePredicate): void {
    if (!this.readOnly) this.#queries.push(couldSee);
  }

  commit(writes: readonly Write[]): CommitResult {
    if (this.readOnly && writes.length > 0)
      throw invalidArgument("Cannot modify entities in a read-only transaction.");
    if (this.#documents.size > 0 || this.#queries.length > 0) {
      for (const change of this.#database.log.since(this.snapshot)) {
        if (this.#documents.has(change.path) || this.#queries.some((couldSee) => couldSee(change))) {
          throw aborted("Too much contention on these documents. Please try again.");
        }
      }
    }
    return this.#database.commit(writes);
  }
}

/** The open transactions of a database. */
export class Transactions {
  readonly #database: Database;
  readonly #open = new Map<string, Transaction>();

  constructor(database: Database) {
    this.#database = database;
  }

  begin(options: TransactionOptions): Transaction {
    this.#endExpired();
    const transaction = new Transaction(this.#database, options);
    this.#open.set(transaction.id.toString("hex"), transaction);
    return transaction;
  }

  get(id: Buffer): Transaction {
    const transaction = this.#open.get(id.toString("hex"));
    if (!transaction || transaction.expiresAtMs < Date.now()) throw expired();
    return transaction;
  }

  /** Takes a transaction out, to commit or to forget it: either way, its id is no longer valid. */
  end(id: Buffer): Transaction {
    const transaction = this.get(id);
    this.#open.delete(id.toString("hex"));
    return transaction;
  }

  #endExpired(): void {
    for (const [id, { expiresAtMs }] of this.#open) {
      if (expiresAtMs >= Date.now()) return; // in order of their beginning
      this.#open.delete(id);
    }
  }
}

/** Google's client knows this message: it runs the transaction again. */
function expired(): Error {
  return invalidArgument("The referenced transaction has expired or is no longer valid.");
}
