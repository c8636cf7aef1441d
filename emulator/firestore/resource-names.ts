import { invalidArgument } from "./grpc-error.ts";

const MAX_ID_BYTES = 1_500;

export interface DatabaseName {
  project: string;
  database: string;
}

/** Parses `projects/{project}/databases/{database}`. */
export function parseDatabaseName(name: string): DatabaseName {
  const [, project, database] = /^projects\/([^/]+)\/databases\/([^/]+)$/.exec(name) ?? [];
  if (!project || !database) {
    throw invalidArgument(
      `Invalid database name "${name}": expected projects/{project}/databases/{database}.`,
    );
  }
  return { project, database };
}

/** Splits the name of a document, or of the root `.../documents`, into the database's name and the path in it. */
export function splitName(name: string): { databaseName: string; path: string } {
  const [, databaseName, path = ""] =
    /^(projects\/[^/]+\/databases\/[^/]+)\/documents(?:\/(.*))?$/s.exec(name) ?? [];
  if (!databaseName) {
    throw invalidArgument(
      `Invalid document name "${name}": expected projects/{project}/databases/{database}/documents/{path}.`,
    );
  }
  return { databaseName, path };
}

/** The path in the database of a document's full name. */
export function documentPath(databaseName: string, name: string): string {
  const prefix = `${databaseName}/documents/`;
  if (!name.startsWith(prefix)) {
    throw invalidArgument(`Document name "${name}" is not in the database "${databaseName}".`);
  }
  const path = name.slice(prefix.length);
  const ids = path.split("/");
  if (ids.length % 2 !== 0) {
    throw invalidArgument(`Document name "${name}" lacks "/" at index ${prefix.length + path.length}.`);
  }
  ids.forEach((id, i) => (i % 2 === 0 ? checkCollectionId(id) : checkDocumentId(id)));
  return path;
}

/** Refuses what is not the full name of a document, in whatever database. */
export function checkDocumentName(name: string): void {
  documentPath(splitName(name).databaseName, name);
}

/** The path of a query's or a listing's parent: a document, or "" for the root of the database. */
export function parentPath(databaseName: string, name: string): string {
  return name === `${databaseName}/documents` ? "" : documentPath(databaseName, name);
}

/** Refuses what cannot be an id of a collection. */
export function checkCollectionId(id: string): void {
  checkId(id);
  if (isReserved(id)) throw invalidArgument(`Collection id "${id}" is invalid because it is reserved.`);
}

/** Refuses what cannot be an id of a document; `__id7__` can: Firestore in Datastore mode gives such numeric ids. */
function checkDocumentId(id: string): void {
  checkId(id);
  if (!isReserved(id)) return;
  const number = numericId(id);
  if (number === undefined) throw invalidArgument(`Resource id "${id}" is invalid because it is reserved.`);
  if (BigInt.asIntN(64, number) !== number) {
    throw invalidArgument(`Resource id "${id}" is invalid because it is not a 64 bit integer.`);
  }
}

function checkId(id: string): void {
  if (id === "") throw invalidArgument("Resource ids must not be empty.");
  if (id === "." || id === "..")
    throw invalidArgument(`Resource id "${id}" is invalid: it must not be "." or "..".`);
  if (id.includes("/")) throw invalidArgument(`Resource id "${id}" is invalid: it must not contain "/".`);
  if (id.length * 3 > MAX_ID_BYTES && Buffer.byteLength(id) > MAX_ID_BYTES) {
    throw invalidArgument(`Resource id "${id.slice(0, 20)}..." is longer than ${MAX_ID_BYTES} bytes.`);
  }
}

/** Whether a name, of a document, a collection or a field, is one of those that Firestore keeps for itself. */
export function isReserved(name: string): boolean {
  return name.length >= 5 && name.startsWith("__") && name.endsWith("__");
}

function numericId(id: string): bigint | undefined {
  const [, digits] = /^__id(-?[1-9][0-9]*)__$/.exec(id) ?? [];
  return digits === undefined ? undefined : BigInt(digits);
}

/** The path without its last id: of a document, its collection; of a collection, its document, or "". */
export function dirname(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf("/")));
}

export function basename(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** Firestore's order of paths: id by id. */
export function comparePaths(left: string, right: string): number {
  if (!left.includes(NUMERIC_START) && !right.includes(NUMERIC_START)) {
    return compareCodePoints(left, right, (unit) => (unit === SLASH ? 0 : unit + 1));
  }
  const leftIds = left.split("/");
  const rightIds = right.split("/");
  const length = Math.min(leftIds.length, rightIds.length);
  for (let i = 0; i < length; i++) {
    const order = compareIds(leftIds[i] as string, rightIds[i] as string);
    if (order !== 0) return order;
  }
  return leftIds.length - rightIds.length;
}

/** Firestore's order of ids: numeric ids by their numbers, then all others by their UTF-8 bytes. */
export function compareIds(left: string, right: string): number {
  const leftNumber = left.startsWith(NUMERIC_START) ? numericId(left) : undefined;
  const rightNumber = right.startsWith(NUMERIC_START) ? numericId(right) : undefined;
  if (leftNumber === undefined && rightNumber === undefined) return compareStrings(left, right);
  if (leftNumber === undefined) return 1;
  if (rightNumber === undefined) return -1;
  return leftNumber < rightNumber ? -1 : Number(leftNumber > rightNumber);
}

/** Firestore's order of strings: by their UTF-8 bytes, which is the order of code points. */
export function compareStrings(left: string, right: string): number {
  return compareCodePoints(left, right, (unit) => unit);
}

const SLASH = 0x2f;
const NUMERIC_START = "__id";

function compareCodePoints(left: string, right: string, rank: (unit: number) => number): number {
  if (left === right) return 0;
  const length = Math.min(left.length, right.length);
  for (let i = 0; i < length; i++) {
    const l = left.charCodeAt(i);
    const r = right.charCodeAt(i);
    if (l !== r) return rank(byCodePoint(l)) - rank(byCodePoint(r));
  }
  return left.length - right.length;
}

/** UTF-16 puts surrogates, which stand for the highest code points, below U+E000 to U+FFFF; this swaps them. */
function byCodePoint(unit: number): number {
  if (unit < 0xd800) return unit;
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800;
}
