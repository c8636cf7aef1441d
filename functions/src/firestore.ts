import type {
  DocumentData,
  DocumentReference,
  DocumentSnapshot,
  FieldPath,
  FieldValue,
  Firestore,
  Timestamp,
} from "firebase-admin/firestore";

import { TimeUpError, withDeadline } from "./deadline";
import { GrpcStatus } from "./grpc-status";
import { isMap } from "./validation";

/** The classes of a client library, which are also static members of its client's class. */
export interface FirestoreClasses {
  readonly FieldPath: typeof FieldPath;
  readonly FieldValue: typeof FieldValue;
  readonly Timestamp: typeof Timestamp;
}

/**
 * Returns the classes that a client accepts. A client checks values with `instanceof`, and an app can have several
 * copies of the client library, so the classes must come from the client itself.
 */
export function classesOf(firestore: Firestore): FirestoreClasses {
  return firestore.constructor as unknown as FirestoreClasses;
}

/** Another writer was faster: the document is to be read again. */
const CONFLICTS: readonly unknown[] = [
  GrpcStatus.ABORTED,
  GrpcStatus.ALREADY_EXISTS,
  GrpcStatus.FAILED_PRECONDITION,
  GrpcStatus.NOT_FOUND,
];

/** Firestore did not decide; what is wrong with the request itself has other codes. */
const UNAVAILABLE: readonly unknown[] = [
  ...CONFLICTS,
  GrpcStatus.CANCELLED,
  GrpcStatus.DEADLINE_EXCEEDED,
  GrpcStatus.INTERNAL,
  GrpcStatus.RESOURCE_EXHAUSTED,
  GrpcStatus.UNAVAILABLE,
  GrpcStatus.UNKNOWN,
];

/** Errors that stay until someone corrects the setup, and how. Trying again does not help. */
const REMEDIES: readonly (readonly [failure: RegExp, remedy: string])[] = [
  [/database .*does not exist/i, "Create the Firestore database, or correct DATABASE and the project."],
  [/PERMISSION_DENIED/, "Grant the role datastore.user to this account, and enable the Firestore API."],
  [
    /UNAUTHENTICATED|Could not load the default credentials/,
    "Run gcloud auth application-default login, or set GOOGLE_APPLICATION_CREDENTIALS.",
  ],
];

/** How to correct what an error of Firestore's client reports; undefined if it may pass. */
export function remedyFor({ message }: Error): string | undefined {
  return REMEDIES.find(([failure]) => failure.test(message))?.[1];
}

/** The message of an error of Firestore's client, followed by how to correct what it reports where that is known. */
export function messageWithRemedy(error: Error): string {
  const remedy = remedyFor(error);
  return remedy === undefined || error.message.endsWith(remedy)
    ? error.message
    : `${error.message} ${remedy}`;
}

/** Firestore gave no answer. `outcome` tells whether what was asked for may have been written. */
export class FirestoreUnavailableError extends Error {
  override readonly name = "FirestoreUnavailableError";
  readonly code = "firestore-unavailable";

  constructor(
    path: string,
    readonly outcome: "not-executed" | "unknown",
    override readonly cause: Error,
  ) {
    super(`Firestore gave no answer for ${path}: ${messageWithRemedy(cause)}`);
  }
}

/** Whether another writer came in between a read and the conditional write that followed it. */
export function isConflict(error: unknown): boolean {
  // NOT_FOUND can also mean that there is no such database.
  return CONFLICTS.includes((error as { code?: unknown }).code) && remedyFor(error as Error) === undefined;
}

/** Repeats a read and a conditional write until no other writer comes in between, or so much time has passed. */
export async function retryConflicts<T>(timeoutMs: number, attempt: () => Promise<T>): Promise<T> {
  const startedMs = performance.now();
  for (let retries = 0; ; retries++) {
    try {
      return await attempt();
    } catch (error) {
      if (!isConflict(error) || performance.now() - startedMs > timeoutMs) throw error;
      await pause(Math.random() * Math.min(400, 10 * 2 ** retries));
    }
  }
}

/**
 * Uses Firestore for so long at most; its client by itself retries for minutes.
 *
 * @param path what is told of where, in the error
 * @throws FirestoreUnavailableError
 */
export async function withinTimeLimit<T>(
  path: string,
  timeoutMs: number,
  work: () => Promise<T>,
  mayBeWritten = () => false,
): Promise<T> {
  try {
    return await withDeadline(work(), timeoutMs, `no answer within ${timeoutMs} ms`);
  } catch (error) {
    const { code } = error as { code?: unknown };
    const isPermanent = remedyFor(error as Error) !== undefined;
    if (error instanceof TimeUpError || UNAVAILABLE.includes(code) || isPermanent) {
      throw new FirestoreUnavailableError(path, mayBeWritten() ? "unknown" : "not-executed", error as Error);
    }
    throw error;
  }
}

/** Returns a timestamp field's Unix time in milliseconds, or undefined for any other value of a document. */
export function timestampMs(value: unknown): number | undefined {
  // A document's maps hold no functions, so only a timestamp has this method.
  const time = value as { toMillis?: unknown } | null | undefined;
  return typeof time?.toMillis === "function" ? (value as Timestamp).toMillis() : undefined;
}

/** A time of Firestore's as a version: microseconds since the epoch, Firestore's own resolution. */
export function toVersion(time: Timestamp): number {
  return time.seconds * 1_000_000 + Math.floor(time.nanoseconds / 1000);
}

/** Converts a version back to the update time that {@link toVersion} made it of, for a precondition. */
export function toTimestamp(firestore: Firestore, version: number): Timestamp {
  const { Timestamp } = classesOf(firestore);
  return new Timestamp(Math.floor(version / 1_000_000), (version % 1_000_000) * 1000);
}

/**
 * Reads a document's data, undefined if there is no document. A client with `useBigInt` returns integers as bigints: they
 * become numbers here, except those that a number cannot hold exactly.
 */
export function dataOf(document: Pick<DocumentSnapshot, "data">): DocumentData | undefined {
  const data = document.data();
  return hasBigInt(data) ? (withoutBigInts(data) as DocumentData) : data;
}

function hasBigInt(value: unknown): boolean {
  if (Array.isArray(value)) return value.some(hasBigInt);
  return isMap(value) ? Object.values(value).some(hasBigInt) : typeof value === "bigint";
}

function withoutBigInts(value: unknown): unknown {
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  if (Array.isArray(value)) return value.map(withoutBigInts);
  if (!isMap(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, withoutBigInts(field)]));
}

/**
 * The document that an event is about. A snapshot of no document has its path from the event's headers, where an id
 * beyond ASCII is garbled (firebase-functions 7, second generation).
 */
export function changedDocument(before: DocumentSnapshot, after: DocumentSnapshot): DocumentReference {
  return (after.exists ? after : before).ref;
}

/** The version that a change leaves behind. */
export function versionAfter(before: DocumentSnapshot, after: DocumentSnapshot): number {
  // A deleted document has no update time. One above that of what was deleted is below that of any document after it.
  return after.updateTime ? toVersion(after.updateTime) : toVersion(before.updateTime!) + 1;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
