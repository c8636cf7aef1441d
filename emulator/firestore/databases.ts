import type { DocumentChange } from "./change-log.ts";
import { parseDatabaseName } from "./resource-names.ts";
import { Database } from "./store.ts";
import { Transactions } from "./transactions.ts";

export interface OpenDatabase {
  database: Database;
  transactions: Transactions;
}

/** Told of what a commit changed in a database, `projects/{project}/databases/{database}`. */
export type CommitListener = (databaseName: string, changes: readonly DocumentChange[]) => void;

/** The databases of all projects; each is there from when it is first named. */
export class Databases {
  readonly #open = new Map<string, OpenDatabase>();
  readonly #onCommit: CommitListener;
  readonly #clockOffsetMs: number;

  /** @param clockOffsetMs how far their clock is ahead of the machine's */
  constructor(onCommit: CommitListener, clockOffsetMs = 0) {
    this.#onCommit = onCommit;
    this.#clockOffsetMs = clockOffsetMs;
  }

  get(name: string): OpenDatabase {
    let open = this.#open.get(name);
    if (!open) {
      parseDatabaseName(name);
      const database = new Database(name, {
        onCommit: (changes) => this.#onCommit(name, changes),
        clockOffsetMs: this.#clockOffsetMs,
      });
      open = { database, transactions: new Transactions(database) };
      this.#open.set(name, open);
    }
    return open;
  }
}
