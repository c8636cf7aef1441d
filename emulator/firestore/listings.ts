import { type CollectionNode, type DocumentNode, documentAt } from "./document-tree.ts";
import { invalidArgument } from "./grpc-error.ts";
import type { Database } from "./store.ts";
import type { Micros } from "./timestamps.ts";
import type { StoredDocument } from "./writes.ts";

/** A document of a listing; without `document` if it is missing and only has something below it. */
export interface ListedDocument {
  path: string;
  document: StoredDocument | undefined;
}

export interface DocumentPage {
  documents: ListedDocument[];
  /** The id to start the next page after. */
  nextAfter: string | undefined;
}

/** A page of a collection's documents by id. */
export function listDocuments(
  database: Database,
  collectionPath: string,
  options: { after?: string | undefined; size: number; showMissing: boolean; time: Micros },
): DocumentPage {
  const { after, size, showMissing, time } = options;
  if (size < 0) throw invalidArgument("page_size must be at least 0.");
  const documents: ListedDocument[] = [];
  for (const node of database.tree.collection(collectionPath)?.documents.ascending(after) ?? []) {
    if (node.id === after) continue;
    const document = documentAt(node, time);
    if (!document && !(showMissing && hasDescendants(node, time))) continue;
    if (size > 0 && documents.length === size) {
      return { documents, nextAfter: documents.at(-1)?.path.slice(collectionPath.length + 1) };
    }
    documents.push({ path: node.path, document });
  }
  return { documents, nextAfter: undefined };
}

/** The ids of a document's collections, those with nothing but missing documents included, in order. */
export function listCollectionIds(database: Database, parent: string, time: Micros): string[] {
  const collections = database.tree.document(parent)?.collections.values() ?? [];
  return [...collections]
    .filter((collection) => hasDocuments(collection, time))
    .map(({ id }) => id)
    .sort();
}

function hasDescendants(node: DocumentNode, time: Micros): boolean {
  return [...node.collections.values()].some((collection) => hasDocuments(collection, time));
}

function hasDocuments(collection: CollectionNode, time: Micros): boolean {
  for (const node of collection.documents.ascending()) {
    if (documentAt(node, time) || hasDescendants(node, time)) return true;
  }
  return false;
}
