import { ChangeLog, type DocumentChange } from "./change-log.ts";
import { type DocumentNode, DocumentTree, documentAt } from "./document-tree.ts";
import { failedPrecondition, invalidArgument } from "./grpc-error.ts";
import type { Write, WriteResult } from "./protocol.ts";
import { documentPath } from "./resource-names.ts";
import { CommitClock, type Micros, timestampOf } from "./timestamps.ts";
import { type StoredDocument, applyWrite, writtenName } from "./writes.ts";

/** How many changes a database remembers, which bounds how far back transactions and `readTime` can look. */
const HISTORY_CAPACITY = 100_000;

export interface CommitResult {
  commitTime: Micros;
  writeResults: WriteResult[];
}

export interface DatabaseOptions {
  historyCapacity?: number;
  /** How far its clock is ahead of the machine's; 0 if it is left out. */
  clockOffsetMs?: number;
  /** Told of every commit that changed something, synchronously, in the order of commit times. */
  onCommit?: (changes: readonly DocumentChange[]) => void;
}

/** What a watcher is told: what a commit changed, or without changes that all documents were forgotten. */
export interface Commit {
  readonly time: Micros;
  readonly changes?: readonly DocumentChange[];
}

/** One Firestore database in memory. Every method is synchronous, and so is a commit: atomic, and alone. */
export class Database {
  readonly name: string;
  readonly clock: CommitClock;
  readonly #options: DatabaseOptions;
  readonly #watchers = new Set<(commit: Commit) => void>();
  #tree!: DocumentTree;
  #log!: ChangeLog;

  constructor(name: string, options: DatabaseOptions = {}) {
    this.name = name;
    this.#options = options;
    this.clock = new CommitClock(options.clockOffsetMs);
    this.clear();
  }

  get tree(): DocumentTree {
    return this.#tree;
  }

  get log(): ChangeLog {
    return this.#log;
  }

  /** Forgets all documents, without events, as Google's emulator does; what was read before cannot be committed on. */
  clear(): void {
    const time = this.clock.forCommit();
    this.#tree = new DocumentTree();
    this.#log = new ChangeLog(this.#tree, this.#options.historyCapacity ?? HISTORY_CAPACITY, time);
    for (const watcher of this.#watchers) watcher({ time });
  }

  /**
   * Tells of every commit that changes something, as `onCommit` is told, and of `clear`.
   *
   * @returns what ends that
   */
  watch(watcher: (commit: Commit) => void): () => void {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  get(path: string, time: Micros): StoredDocument | undefined {
    return documentAt(this.#tree.document(path), time);
  }

  /** @throws GrpcError if the state at that time is unknown: yet to come, or no longer kept */
  checkReadTime(time: Micros): void {
    if (time > this.clock.forRead()) throw invalidArgument("read_time cannot be in the future.");
    if (time < this.#log.horizon) {
      throw failedPrecondition(
        "The requested read_time is too old: the history kept does not reach back to it.",
      );
    }
  }

  /** Applies all writes, in order, at one commit time, or none of them. */
  commit(writes: readonly Write[]): CommitResult {
    const commitTime = this.clock.forCommit();
    const staged = new Map<
      string,
      { before: StoredDocument | undefined; after: StoredDocument | undefined }
    >();
    const writeResults = writes.map((write): WriteResult => {
      const path = documentPath(this.name, writtenName(write));
      const before = staged.get(path)?.before ?? documentAt(this.#tree.document(path), commitTime);
      const current = staged.has(path) ? staged.get(path)?.after : before;
      const { document, transformResults } = applyWrite(this.name, write, current, commitTime);
      staged.set(path, { before, after: document });
      return document ? { updateTime: timestampOf(document.updateTime), transformResults } : {};
    });

    const changes: DocumentChange[] = [];
    for (const [path, { before, after }] of staged) {
      if (before === after) continue;
      this.#install(this.#tree.ensure(path), after, commitTime);
      changes.push({ path, time: commitTime, before, after });
    }
    if (changes.length > 0) {
      this.#options.onCommit?.(changes);
      for (const watcher of this.#watchers) watcher({ time: commitTime, changes });
    }
    return { commitTime, writeResults };
  }

  #install(node: DocumentNode, document: StoredDocument | undefined, time: Micros): void {
    node.latest = { time, document, previous: node.latest };
    this.#log.append(node, node.latest);
  }
}
