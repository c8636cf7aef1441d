import { basename, compareIds, comparePaths, dirname } from "./resource-names.ts";
import { SortedList } from "./sorted-list.ts";
import type { Micros } from "./timestamps.ts";
import type { StoredDocument } from "./writes.ts";

/** What a document was from a commit on: absent if that commit deleted it. */
export interface Revision {
  readonly time: Micros;
  readonly document: StoredDocument | undefined;
  /** What it was before, as long as the history is kept. */
  previous: Revision | undefined;
}

/** A place for a document, which may be missing: deleted, or there only because something is stored below it. */
export interface DocumentNode {
  readonly id: string;
  readonly path: string;
  latest: Revision | undefined;
  readonly collections: Map<string, CollectionNode>;
}

export interface CollectionNode {
  readonly id: string;
  readonly path: string;
  readonly documents: SortedList<DocumentNode, string>;
}

/** The document as it was at a time, which must not be older than the history that is kept. */
export function documentAt(node: DocumentNode | undefined, time: Micros): StoredDocument | undefined {
  let revision = node?.latest;
  while (revision && revision.time > time) revision = revision.previous;
  return revision?.document;
}

/** All documents of a database by path, and collections in the order of ids. */
export class DocumentTree {
  readonly root: DocumentNode = newDocumentNode("");
  readonly #documents = new Map<string, DocumentNode>();
  readonly #collections = new Map<string, CollectionNode>();
  readonly #groups = new Map<string, SortedList<CollectionNode, string>>();

  document(path: string): DocumentNode | undefined {
    return path === "" ? this.root : this.#documents.get(path);
  }

  collection(path: string): CollectionNode | undefined {
    return this.#collections.get(path);
  }

  /** The collections with an id, wherever they are. */
  collectionsWithId(id: string): Iterable<CollectionNode> {
    return this.#groups.get(id)?.ascending() ?? [];
  }

  /** Every place below a document, in no particular order. */
  *descendants(node: DocumentNode): Generator<DocumentNode> {
    for (const collection of node.collections.values()) {
      for (const child of collection.documents.ascending()) {
        yield child;
        yield* this.descendants(child);
      }
    }
  }

  /** The node of a path, made with its ancestors if it is not there. */
  ensure(path: string): DocumentNode {
    if (path === "") return this.root;
    const existing = this.#documents.get(path);
    if (existing) return existing;
    const collection = this.#ensureCollection(dirname(path));
    const node = newDocumentNode(path);
    collection.documents.insert(node);
    this.#documents.set(path, node);
    return node;
  }

  /** Removes a node of which nothing is left to remember, and its ancestors if they were there for its sake. */
  removeIfEmpty(node: DocumentNode): void {
    if (node === this.root || node.latest || node.collections.size > 0) return;
    this.#documents.delete(node.path);
    const collection = this.#collections.get(dirname(node.path));
    if (!collection) return;
    collection.documents.delete(node.id);
    if (!collection.documents.isEmpty) return;
    this.#collections.delete(collection.path);
    this.#groups.get(collection.id)?.delete(collection.path);
    const parent = this.document(dirname(collection.path));
    if (!parent) return;
    parent.collections.delete(collection.id);
    this.removeIfEmpty(parent);
  }

  #ensureCollection(path: string): CollectionNode {
    const existing = this.#collections.get(path);
    if (existing) return existing;
    const id = basename(path);
    const documents = new SortedList<DocumentNode, string>((node) => node.id, compareIds);
    const collection: CollectionNode = { id, path, documents };
    this.#collections.set(path, collection);
    this.ensure(dirname(path)).collections.set(id, collection);
    let group = this.#groups.get(id);
    if (!group) {
      group = new SortedList((node) => node.path, comparePaths);
      this.#groups.set(id, group);
    }
    group.insert(collection);
    return collection;
  }
}

function newDocumentNode(path: string): DocumentNode {
  return { id: basename(path), path, latest: undefined, collections: new Map() };
}
