import { checkReferences } from "./accept-fields.ts";
import type { DocumentChange } from "./change-log.ts";
import { type CollectionNode, type DocumentNode, documentAt } from "./document-tree.ts";
import { DOCUMENT_NAME, type FieldPath, getField, parseFieldPath } from "./field-paths.ts";
import { type Predicate, compileFilter, fieldsOrderedByFilter, requiredConditions } from "./filters.ts";
import { invalidArgument, unimplemented } from "./grpc-error.ts";
import { checkCombinations } from "./query-rules.ts";
import type { Cursor, StructuredQuery, Value } from "./protocol.ts";
import { basename, checkCollectionId, comparePaths, dirname, documentPath } from "./resource-names.ts";
import type { Database } from "./store.ts";
import type { Micros } from "./timestamps.ts";
import { compareValues } from "./values.ts";
import type { StoredDocument } from "./writes.ts";

/** A document that a query found. */
export interface QueryResult {
  path: string;
  document: StoredDocument;
}

interface Order {
  /** Undefined for the order by name. */
  field: FieldPath | undefined;
  sign: 1 | -1;
}

/** A document with the values it is ordered by, except its name. */
interface Candidate extends QueryResult {
  keys: Value[];
}

/** A query, checked and ready to run; knows which changes it could see, for transactions. */
export class Query {
  readonly projection: readonly FieldPath[] | undefined;
  readonly #database: Database;
  readonly #parent: string;
  /** Undefined for every collection below the parent. */
  readonly #collectionId: string | undefined;
  readonly #allDescendants: boolean;
  readonly #matches: Predicate;
  readonly #query: StructuredQuery;
  readonly #orders: readonly Order[];

  constructor(database: Database, parent: string, query: StructuredQuery) {
    if (query.findNearest) throw unimplemented("Vector search (find_nearest)");
    if (query.offset < 0) throw invalidArgument("offset must be at least 0.");
    if ((query.limit?.value ?? 0) < 0) throw invalidArgument("limit must be at least 0.");
    const [selector, ...more] = query.from;
    if (!selector || more.length > 0)
      throw invalidArgument("A query must select from exactly one collection.");
    if (selector.collectionId !== "") checkCollectionId(selector.collectionId);
    else if (!selector.allDescendants) throw unimplemented("A query of all collections of a document");

    this.#database = database;
    this.#parent = parent;
    this.#collectionId = selector.collectionId || undefined;
    this.#allDescendants = selector.allDescendants;
    this.#matches = compileFilter(database.name, query.where);
    this.#query = query;
    this.#orders = ordersOf(query);
    checkCombinations(query, parent);
    for (const cursor of [query.startAt, query.endAt]) this.#checkCursor(cursor);
    this.projection = query.select?.fields.length
      ? query.select.fields.filter(({ fieldPath }) => fieldPath !== DOCUMENT_NAME).map(pathOf)
      : undefined;
  }

  /** The results as of a time, in the query's order. */
  run(time: Micros): QueryResult[] {
    const { offset, limit } = this.#query;
    const end = limit ? offset + limit.value : Number.POSITIVE_INFINITY;
    if (end === 0) return [];
    const found = this.#isOrderedByNameOnly() ? this.#first(end, time) : this.#least(end, time);
    return offset > 0 ? found.slice(offset) : found;
  }

  /** Whether a change could alter the results: conservative, for it looks at the filter only. */
  couldSee(change: DocumentChange): boolean {
    if (!this.#selects(change.path)) return false;
    const { path, before, after } = change;
    return [before, after].some((document) => document && this.#matches(path, document.fields));
  }

  /** The first candidates of a scan that is in the query's order. */
  #first(count: number, time: Micros): Candidate[] {
    const found: Candidate[] = [];
    for (const candidate of this.#candidates(time)) {
      if (this.#isPast(candidate)) break;
      if (this.#isWithinCursors(candidate) && found.push(candidate) === count) break;
    }
    return found;
  }

  /** The least candidates of a scan in another order; never more than twice as many as asked for are kept. */
  #least(count: number, time: Micros): Candidate[] {
    const compare = (left: Candidate, right: Candidate): number => this.#compare(left, right);
    let found: Candidate[] = [];
    let bar: Candidate | undefined;
    for (const candidate of this.#candidates(time)) {
      if ((bar && compare(candidate, bar) >= 0) || !this.#isWithinCursors(candidate)) continue;
      if (found.push(candidate) >= 2 * count) {
        found = found.sort(compare).slice(0, count);
        bar = found[count - 1];
      }
    }
    found.sort(compare);
    return count < found.length ? found.slice(0, count) : found;
  }

  *#candidates(time: Micros): Generator<Candidate> {
    for (const node of this.#scan()) {
      const document = documentAt(node, time);
      if (!document || !this.#matches(node.path, document.fields)) continue;
      const keys = this.#keysOf(document);
      if (keys) yield { path: node.path, document, keys };
    }
  }

  /** The places to look at, in the order of names if that is the only order. */
  #scan(): Iterable<DocumentNode> {
    const named = this.#namedDocuments();
    if (named) return named;
    if (!this.#allDescendants) {
      const collection = this.#database.tree.collection(
        this.#parent ? `${this.#parent}/${this.#collectionId}` : `${this.#collectionId}`,
      );
      return collection ? this.#scanCollection(collection) : [];
    }
    const nodes = [...this.#scanDescendants()];
    if (this.#isOrderedByNameOnly()) {
      const sign = this.#orders[0]?.sign ?? 1;
      nodes.sort((left, right) => sign * comparePaths(left.path, right.path));
    }
    return nodes;
  }

  #scanCollection(collection: CollectionNode): Iterable<DocumentNode> {
    if (!this.#isOrderedByNameOnly()) return collection.documents.ascending();
    const start = this.#startPath();
    const from = start !== undefined && dirname(start) === collection.path ? basename(start) : undefined;
    return this.#orders[0]?.sign === -1
      ? collection.documents.descending(from)
      : collection.documents.ascending(from);
  }

  *#scanDescendants(): Generator<DocumentNode> {
    const { tree } = this.#database;
    if (this.#collectionId === undefined) {
      const parent = tree.document(this.#parent);
      if (parent) yield* tree.descendants(parent);
      return;
    }
    for (const collection of tree.collectionsWithId(this.#collectionId)) {
      if (this.#selects(`${collection.path}/any`)) yield* collection.documents.ascending();
    }
  }

  /** The only documents that can be results, if the filter names them. */
  #namedDocuments(): DocumentNode[] | undefined {
    for (const { fieldPath, op, value } of requiredConditions(this.#query.where)) {
      if (fieldPath !== DOCUMENT_NAME || (op !== "EQUAL" && op !== "IN")) continue;
      const values = value?.valueType === "arrayValue" ? value.arrayValue.values : value ? [value] : [];
      const paths = new Set(values.map((one) => this.#pathOf(one)).filter((path) => this.#selects(path)));
      const sign = this.#isOrderedByNameOnly() ? (this.#orders[0]?.sign ?? 1) : 1;
      return [...paths]
        .sort((left, right) => sign * comparePaths(left, right))
        .flatMap((path) => this.#database.tree.document(path) ?? []);
    }
    return undefined;
  }

  /** Where a scan by name can start: at the cursor, or at the bound that the filter sets. */
  #startPath(): string | undefined {
    const cursor = this.#query.startAt?.values[0];
    if (cursor) return this.#pathOf(cursor);
    const bounds =
      this.#orders[0]?.sign === -1
        ? ["LESS_THAN", "LESS_THAN_OR_EQUAL"]
        : ["GREATER_THAN", "GREATER_THAN_OR_EQUAL"];
    const bound = requiredConditions(this.#query.where).find(
      ({ fieldPath, op }) => fieldPath === DOCUMENT_NAME && bounds.includes(op),
    );
    return bound?.value && this.#pathOf(bound.value);
  }

  #selects(path: string): boolean {
    const collection = dirname(path);
    if (!this.#allDescendants)
      return basename(collection) === this.#collectionId && dirname(collection) === this.#parent;
    return (
      (this.#collectionId === undefined || basename(collection) === this.#collectionId) &&
      (this.#parent === "" || path.startsWith(`${this.#parent}/`))
    );
  }

  #isOrderedByNameOnly(): boolean {
    return this.#orders[0]?.field === undefined;
  }

  /** Undefined if the document lacks a field that the query is ordered by: then it is no result. */
  #keysOf(document: StoredDocument): Value[] | undefined {
    const keys: Value[] = [];
    for (const { field } of this.#orders) {
      if (!field) continue;
      const key = getField(document.fields, field);
      if (!key) return undefined;
      keys.push(key);
    }
    return keys;
  }

  #compare(left: Candidate, right: Candidate): number {
    for (let i = 0; ; i++) {
      const { field, sign } = this.#orders[i] as Order;
      if (!field) return sign * comparePaths(left.path, right.path);
      const order = compareValues(left.keys[i] as Value, right.keys[i] as Value);
      if (order !== 0) return sign * order;
    }
  }

  #isWithinCursors(candidate: Candidate): boolean {
    const { startAt, endAt } = this.#query;
    if (startAt) {
      const order = this.#compareToCursor(candidate, startAt);
      if (startAt.before ? order < 0 : order <= 0) return false;
    }
    return !endAt || !this.#isPast(candidate);
  }

  /** Whether the candidate, and with it every later one, lies after the end. */
  #isPast(candidate: Candidate): boolean {
    const { endAt } = this.#query;
    if (!endAt) return false;
    const order = this.#compareToCursor(candidate, endAt);
    return endAt.before ? order >= 0 : order > 0;
  }

  #compareToCursor(candidate: Candidate, { values }: Cursor): number {
    for (const [i, value] of values.entries()) {
      const { field, sign } = this.#orders[i] as Order;
      const order = field
        ? compareValues(candidate.keys[i] as Value, value)
        : comparePaths(candidate.path, this.#pathOf(value));
      if (order !== 0) return sign * order;
    }
    return 0;
  }

  #checkCursor(cursor: Cursor | null | undefined): void {
    for (const [i, value] of (cursor?.values ?? []).entries()) {
      if (i >= this.#query.orderBy.length) throw invalidArgument("Cursor has too many values.");
      checkReferences(value);
      if (this.#orders[i]?.field === undefined) this.#pathOf(value);
    }
  }

  #pathOf(value: Value): string {
    if (value.valueType !== "referenceValue") throw invalidArgument("__key__ filter value must be a Key");
    return documentPath(this.#database.name, value.referenceValue);
  }
}

/** The order asked for, then that of the inequalities' fields, then the name, which settles all. */
function ordersOf({ orderBy, where }: StructuredQuery): Order[] {
  const orders = orderBy.map(({ field, direction }) => ({
    fieldPath: field.fieldPath,
    sign: direction === "DESCENDING" ? (-1 as const) : (1 as const),
  }));
  const sign = orders.at(-1)?.sign ?? 1;
  const implicit = fieldsOrderedByFilter(where).filter((fieldPath) => fieldPath !== DOCUMENT_NAME);
  for (const fieldPath of [...implicit, DOCUMENT_NAME]) {
    if (!orders.some((order) => order.fieldPath === fieldPath)) orders.push({ fieldPath, sign });
  }
  const name = orders.findIndex(({ fieldPath }) => fieldPath === DOCUMENT_NAME);
  if (name < orders.length - 1)
    throw invalidArgument("order by clause cannot contain more fields after the key");
  return orders.map(({ fieldPath, sign }) => ({
    field: fieldPath === DOCUMENT_NAME ? undefined : parseFieldPath(fieldPath),
    sign,
  }));
}

function pathOf({ fieldPath }: { fieldPath: string }): FieldPath {
  return parseFieldPath(fieldPath);
}
