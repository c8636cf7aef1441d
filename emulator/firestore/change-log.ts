import type { DocumentNode, DocumentTree, Revision } from "./document-tree.ts";
import type { Micros } from "./timestamps.ts";
import type { StoredDocument } from "./writes.ts";

/** One document changed by one commit. */
export interface DocumentChange {
  readonly path: string;
  readonly time: Micros;
  readonly before: StoredDocument | undefined;
  readonly after: StoredDocument | undefined;
}

interface LoggedChange extends DocumentChange {
  readonly node: DocumentNode;
  readonly revision: Revision;
}

/**
 * The latest changes in the order of commits. They say what happened since a transaction began, and what documents
 * were at an earlier time; the oldest are forgotten, and with them the revisions that only they needed.
 */
export class ChangeLog {
  readonly #tree: DocumentTree;
  readonly #capacity: number;
  #changes: LoggedChange[] = [];
  /** How many of the first changes have been forgotten; they are cut off in bulk. */
  #forgotten = 0;
  #horizon: Micros;

  constructor(tree: DocumentTree, capacity: number, startTime: Micros) {
    this.#tree = tree;
    this.#capacity = capacity;
    this.#horizon = startTime;
  }

  /** The earliest time at which the state of every document is still known. */
  get horizon(): Micros {
    return this.#horizon;
  }

  append(node: DocumentNode, revision: Revision): void {
    const { time, document: after, previous } = revision;
    this.#changes.push({ path: node.path, time, before: previous?.document, after, node, revision });
    if (this.#changes.length - this.#forgotten > this.#capacity) this.#forgetOldest();
  }

  /** The changes after a time, latest first. */
  *since(time: Micros): Generator<DocumentChange> {
    for (let i = this.#changes.length - 1; i >= this.#forgotten; i--) {
      const change = this.#changes[i] as LoggedChange;
      if (change.time <= time) return;
      yield change;
    }
  }

  #forgetOldest(): void {
    const { node, revision } = this.#changes[this.#forgotten++] as LoggedChange;
    this.#horizon = revision.time;
    revision.previous = undefined;
    if (node.latest === revision && !revision.document) {
      node.latest = undefined;
      this.#tree.removeIfEmpty(node);
    }
    if (this.#forgotten >= this.#capacity) {
      this.#changes = this.#changes.slice(this.#forgotten);
      this.#forgotten = 0;
    }
  }
}
