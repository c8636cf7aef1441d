import { randomBytes } from "node:crypto";
import { status } from "@grpc/grpc-js";
import { aggregate } from "./aggregations.ts";
import type { Databases } from "./databases.ts";
import { type FieldPath, parseFieldPath } from "./field-paths.ts";
import { GrpcError, invalidArgument, notFound, unimplemented } from "./grpc-error.ts";
import { listCollectionIds, listDocuments } from "./listings.ts";
import type {
  Aggregation,
  Consistency,
  Document,
  DocumentMask,
  Precondition,
  StructuredQuery,
  TransactionOptions,
  Write,
  WriteResult,
} from "./protocol.ts";
import { Query } from "./queries.ts";
import { ReadView, toDocument } from "./read-view.ts";
import { checkCollectionId, documentPath, parentPath, splitName } from "./resource-names.ts";
import { timestampOf } from "./timestamps.ts";
import { writtenName } from "./writes.ts";

const LISTING_PAGE_SIZE = 300;

export type UnaryMethod = (request: never) => object;
export type StreamingMethod = (request: never) => Iterable<object>;

/** The methods of google.firestore.v1.Firestore that answer once, as functions of their requests. */
export function unaryMethods(databases: Databases): Record<string, UnaryMethod> {
  function readableDocument(name: string, consistency: Consistency, mask: DocumentMask | null): Document {
    const { databaseName } = splitName(name);
    const path = documentPath(databaseName, name);
    const document = new ReadView(databases.get(databaseName), consistency).get(path);
    if (!document) throw notFound(`Document "${name}" not found.`);
    return toDocument(databaseName, path, document, pathsOf(mask));
  }

  function writeOne(name: string, write: Omit<Write, "updateTransforms">): void {
    databases.get(splitName(name).databaseName).database.commit([{ ...write, updateTransforms: [] }]);
  }

  return {
    GetDocument(request: Consistency & { name: string; mask: DocumentMask | null }) {
      return readableDocument(request.name, request, request.mask);
    },

    CreateDocument(request: {
      parent: string;
      collectionId: string;
      documentId: string;
      document: Document | null;
      mask: DocumentMask | null;
    }) {
      checkCollectionId(request.collectionId);
      const name = `${request.parent}/${request.collectionId}/${request.documentId || randomBytes(10).toString("hex")}`;
      const update = { name, fields: request.document?.fields ?? {} };
      writeOne(name, {
        operation: "update",
        update,
        currentDocument: { conditionType: "exists", exists: false },
      });
      return readableDocument(name, {}, request.mask);
    },

    UpdateDocument(request: {
      document: Document | null;
      updateMask: DocumentMask | null;
      mask: DocumentMask | null;
      currentDocument: Precondition | null;
    }) {
      const { document: update, updateMask, mask, currentDocument } = request;
      if (!update) throw invalidArgument("A document is required.");
      writeOne(update.name, { operation: "update", update, updateMask, currentDocument });
      return readableDocument(update.name, {}, mask);
    },

    DeleteDocument(request: { name: string; currentDocument: Precondition | null }) {
      writeOne(request.name, {
        operation: "delete",
        delete: request.name,
        currentDocument: request.currentDocument,
      });
      return {};
    },

    BeginTransaction(request: { database: string; options: TransactionOptions | null }) {
      return { transaction: databases.get(request.database).transactions.begin(request.options ?? {}).id };
    },

    Commit(request: { database: string; writes: Write[]; transaction: Buffer }) {
      const { database, transactions } = databases.get(request.database);
      const committer = request.transaction.length > 0 ? transactions.end(request.transaction) : database;
      const { commitTime, writeResults } = committer.commit(request.writes);
      return { commitTime: timestampOf(commitTime), writeResults };
    },

    Rollback(request: { database: string; transaction: Buffer }) {
      databases.get(request.database).transactions.end(request.transaction);
      return {};
    },

    BatchWrite(request: { database: string; writes: Write[] }) {
      const { database } = databases.get(request.database);
      const names = request.writes.map(writtenName);
      if (new Set(names).size < names.length) {
        throw invalidArgument("A document cannot be written to more than once in the same request.");
      }
      const writeResults: WriteResult[] = [];
      const statuses = request.writes.map((write) => {
        try {
          writeResults.push(database.commit([write]).writeResults[0] ?? {});
          return { code: status.OK, message: "" };
        } catch (error) {
          if (!(error instanceof GrpcError)) throw error;
          writeResults.push({});
          return { code: error.code, message: error.message };
        }
      });
      return { writeResults, status: statuses };
    },

    ListDocuments(
      request: Consistency & {
        parent: string;
        collectionId: string;
        pageSize: number;
        pageToken: string;
        orderBy: string;
        mask: DocumentMask | null;
        showMissing: boolean;
      },
    ) {
      if (request.orderBy) throw unimplemented("ListDocuments with order_by");
      if (!request.collectionId) throw unimplemented("ListDocuments of all collections");
      if (request.consistencySelector === "transaction")
        throw unimplemented("ListDocuments in a transaction");
      checkCollectionId(request.collectionId);
      const { databaseName } = splitName(request.parent);
      const open = databases.get(databaseName);
      const parent = parentPath(databaseName, request.parent);
      const { documents, nextAfter } = listDocuments(
        open.database,
        parent ? `${parent}/${request.collectionId}` : request.collectionId,
        {
          after: request.pageToken ? Buffer.from(request.pageToken, "base64url").toString() : undefined,
          size: request.pageSize || LISTING_PAGE_SIZE,
          showMissing: request.showMissing,
          time: new ReadView(open, request).time,
        },
      );
      const mask = pathsOf(request.mask);
      return {
        documents: documents.map(({ path, document }) =>
          document
            ? toDocument(databaseName, path, document, mask)
            : { name: `${databaseName}/documents/${path}`, fields: {} },
        ),
        nextPageToken: nextAfter === undefined ? "" : Buffer.from(nextAfter).toString("base64url"),
      };
    },

    ListCollectionIds(request: Consistency & { parent: string; pageSize: number; pageToken: string }) {
      const { databaseName } = splitName(request.parent);
      const open = databases.get(databaseName);
      const { time } = new ReadView(open, request);
      const ids = listCollectionIds(open.database, parentPath(databaseName, request.parent), time);
      const start = Number(request.pageToken || 0);
      const end = request.pageSize > 0 ? start + request.pageSize : ids.length;
      return { collectionIds: ids.slice(start, end), nextPageToken: end < ids.length ? String(end) : "" };
    },
  };
}

/** The methods that answer with a stream. */
export function streamingMethods(databases: Databases): Record<string, StreamingMethod> {
  return {
    *BatchGetDocuments(
      request: Consistency & { database: string; documents: string[]; mask: DocumentMask | null },
    ) {
      const open = databases.get(request.database);
      const paths = request.documents.map((name) => documentPath(request.database, name));
      const mask = pathsOf(request.mask);
      const view = new ReadView(open, request);
      const { readTime } = view;
      const found = new Map(paths.map((path) => [path, view.get(path)]));
      if (view.begun) yield { transaction: view.begun };
      for (const [path, document] of found) {
        if (document) yield { found: toDocument(request.database, path, document, mask), readTime };
        else yield { missing: `${request.database}/documents/${path}`, readTime };
      }
    },

    *RunQuery(
      request: Consistency & { parent: string; structuredQuery?: StructuredQuery; explainOptions: unknown },
    ) {
      const { databaseName, query } = queryOf(databases, request);
      const view = new ReadView(databases.get(databaseName), request);
      const { readTime } = view;
      if (view.begun) yield { transaction: view.begun };
      for (const { path, document } of view.run(query)) {
        yield { document: toDocument(databaseName, path, document, query.projection), readTime };
      }
      yield { readTime, done: true };
    },

    *RunAggregationQuery(
      request: Consistency & {
        parent: string;
        structuredAggregationQuery?: { structuredQuery?: StructuredQuery; aggregations: Aggregation[] };
        explainOptions: unknown;
      },
    ) {
      const { structuredQuery, aggregations = [] } = request.structuredAggregationQuery ?? {};
      const { databaseName, query } = queryOf(databases, {
        parent: request.parent,
        explainOptions: request.explainOptions,
        ...(structuredQuery && { structuredQuery }),
      });
      const view = new ReadView(databases.get(databaseName), request);
      const { begun, readTime } = view;
      const aggregateFields = aggregate(view.run(query), aggregations);
      yield { ...(begun && { transaction: begun }), result: { aggregateFields }, readTime };
    },
  };
}

function queryOf(
  databases: Databases,
  request: { parent: string; structuredQuery?: StructuredQuery; explainOptions: unknown },
): { databaseName: string; query: Query } {
  if (request.explainOptions) throw unimplemented("Query Explain (explain_options)");
  if (!request.structuredQuery) throw invalidArgument("A structured query is required.");
  const { databaseName } = splitName(request.parent);
  const parent = parentPath(databaseName, request.parent);
  return {
    databaseName,
    query: new Query(databases.get(databaseName).database, parent, request.structuredQuery),
  };
}

function pathsOf(mask: DocumentMask | null): readonly FieldPath[] | undefined {
  return mask?.fieldPaths.filter((path) => path !== "__name__").map(parseFieldPath);
}
