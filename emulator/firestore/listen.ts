import type { Databases, OpenDatabase } from "./databases.ts";
import { GrpcError, invalidArgument, unimplemented } from "./grpc-error.ts";
import type { ListenRequest, ListenTarget } from "./protocol.ts";
import { Query } from "./queries.ts";
import { toDocument } from "./read-view.ts";
import { documentPath, parentPath } from "./resource-names.ts";
import type { Commit, Database } from "./store.ts";
import { type Micros, timestampOf } from "./timestamps.ts";
import type { StoredDocument } from "./writes.ts";

/** As often as production; Google's client gives up a stream on which it has heard nothing for 120 s. */
const HEARTBEAT_MS = 30_000;

interface Target {
  readonly id: number;
  readonly source: Pick<Query, "run" | "couldSee" | "projection">;
  /** What the client was told of last, by path. */
  results: ReadonlyMap<string, StoredDocument>;
}

/** One call of Listen: the targets that its client added, and what the client knows of each. */
export class ListenStream {
  readonly #databases: Databases;
  readonly #send: (response: object) => void;
  readonly #targets = new Map<number, Target>();
  #open: OpenDatabase | undefined;
  #stopWatching: (() => void) | undefined;
  #heartbeat: NodeJS.Timeout | undefined;

  constructor(databases: Databases, send: (response: object) => void) {
    this.#databases = databases;
    this.#send = send;
  }

  /** @throws GrpcError that ends the stream; an error of one target is told in the stream instead */
  receive(request: ListenRequest): void {
    const { database } = (this.#open ??= this.#start(request.database));
    if (request.database !== database.name) throw invalidArgument("A stream listens to one database.");
    switch (request.targetChange) {
      case "addTarget":
        this.#add(database, request.addTarget);
        break;
      case "removeTarget":
        this.#targets.delete(request.removeTarget);
        this.#tell("REMOVE", { targetIds: [request.removeTarget] });
        break;
      case undefined:
        throw invalidArgument("A target to add or to remove is required.");
    }
  }

  close(): void {
    this.#stopWatching?.();
    clearInterval(this.#heartbeat);
  }

  #start(databaseName: string): OpenDatabase {
    const open = this.#databases.get(databaseName);
    this.#stopWatching = open.database.watch((commit) => this.#onCommit(open.database, commit));
    this.#heartbeat = setInterval(() => this.#tellSnapshot(open.database.clock.forRead()), HEARTBEAT_MS);
    this.#heartbeat.unref();
    return open;
  }

  #add(database: Database, added: ListenTarget): void {
    const { targetId: id } = added;
    const targetIds = [id];
    try {
      if (this.#targets.has(id)) throw invalidArgument(`Target ${id} is there already.`);
      const target: Target = { id, source: sourceOf(database, added), results: new Map() };
      const time = database.clock.forRead();
      const found = target.source.run(time);
      this.#tell("ADD", { targetIds });
      // What the client knew then is not remembered: it is to forget that, and is told everything.
      if (added.resumeType) this.#tell("RESET", { targetIds });
      this.#tellMissing(database, added, time);
      this.#update(database, target, found, time);
      this.#targets.set(id, target);
      this.#tell("CURRENT", { targetIds, ...asOf(time) });
      this.#tellSnapshot(time);
    } catch (error) {
      if (!(error instanceof GrpcError)) throw error;
      this.#tell("REMOVE", { targetIds, cause: { code: error.code, message: error.message } });
    }
  }

  #onCommit(database: Database, { time, changes }: Commit): void {
    let changed = false;
    for (const target of this.#targets.values()) {
      const { source } = target;
      if (changes && !changes.some((change) => source.couldSee(change))) continue;
      this.#update(database, target, source.run(time), time);
      changed = true;
    }
    if (changed) this.#tellSnapshot(time);
  }

  /** Tells how a target's results differ from what the client knows. */
  #update(database: Database, target: Target, found: ReturnType<Query["run"]>, time: Micros): void {
    const { id, source, results: before } = target;
    target.results = new Map(found.map(({ path, document }) => [path, document]));
    for (const path of before.keys()) {
      if (target.results.has(path)) continue;
      const gone = { document: nameOf(database, path), removedTargetIds: [id], readTime: timestampOf(time) };
      this.#send(database.get(path, time) ? { documentRemove: gone } : { documentDelete: gone });
    }
    for (const [path, document] of target.results) {
      if (before.get(path) === document) continue;
      const changed = toDocument(database.name, path, document, source.projection);
      this.#send({ documentChange: { document: changed, targetIds: [id] } });
    }
  }

  /** Of the documents of a target, unlike those of a query, the client is told that they do not exist. */
  #tellMissing(database: Database, { targetId, documents }: ListenTarget, time: Micros): void {
    for (const name of documents?.documents ?? []) {
      if (database.get(documentPath(database.name, name), time)) continue;
      this.#send({
        documentDelete: { document: name, removedTargetIds: [targetId], readTime: timestampOf(time) },
      });
    }
  }

  #tell(targetChangeType: "ADD" | "REMOVE" | "RESET" | "CURRENT" | "NO_CHANGE", change: object): void {
    this.#send({ targetChange: { targetChangeType, ...change } });
  }

  /** Of no target in particular: everything told so far is what was true at that time. */
  #tellSnapshot(time: Micros): void {
    this.#tell("NO_CHANGE", asOf(time));
  }
}

function sourceOf(database: Database, { query, documents, once }: ListenTarget): Target["source"] {
  if (once) throw unimplemented("Listen to a target once");
  if (documents) {
    const paths = new Set(documents.documents.map((name) => documentPath(database.name, name)));
    return {
      projection: undefined,
      couldSee: ({ path }) => paths.has(path),
      run: (time) =>
        [...paths].flatMap((path) => {
          const document = database.get(path, time);
          return document ? [{ path, document }] : [];
        }),
    };
  }
  if (!query?.structuredQuery) throw invalidArgument("A target is a query or documents.");
  return new Query(database, parentPath(database.name, query.parent), query.structuredQuery);
}

function asOf(time: Micros): object {
  return { readTime: timestampOf(time), resumeToken: Buffer.from(String(time)) };
}

function nameOf(database: Database, path: string): string {
  return `${database.name}/documents/${path}`;
}
