import type {
  DocumentData,
  DocumentReference,
  DocumentSnapshot,
  Firestore,
  Timestamp,
} from "firebase-admin/firestore";

import { classesOf, isConflict, retryConflicts, toTimestamp, toVersion, withinTimeLimit } from "../firestore";
import type { Logs } from "../observability/logs";
import {
  destroyedForMs,
  SessionDestroyedError,
  type Session,
  type SessionSnapshot,
  type UnstoredSession,
} from "./session";
import {
  destroyedFields,
  InvalidSessionDocumentError,
  parseSessionDocument,
  sessionFields,
} from "./session-document";

/** Limit of one operation. */
const TIMEOUT_MS = 10_000;

/** What a writer believes of a document: its version, or that there is none. A wrong belief costs a read. */
export type Belief = number | "no document";

export interface FirestoreSessionStoreOptions {
  readonly collectionPath: string;
  readonly ttlSeconds: number;
}

/**
 * Sessions in Firestore. Every method throws FirestoreUnavailableError, after 10 s at the latest. Errors name the
 * collection and no document: who has a session's id has the session.
 */
export class FirestoreSessionStore {
  constructor(
    private readonly firestore: () => Firestore,
    private readonly options: FirestoreSessionStoreOptions,
    private readonly logs: Logs,
    private readonly timeoutMs = TIMEOUT_MS,
  ) {}

  /** Reads one session: one billed document read. One that has expired is absent. */
  read(sessionId: string): Promise<SessionSnapshot> {
    return this.bounded(async () => this.toSnapshot(await this.document(sessionId).get()));
  }

  /**
   * Writes a session: one write if the belief is right, else a read as well.
   *
   * @throws SessionDestroyedError
   */
  set(sessionId: string, session: Session, belief?: Belief): Promise<SessionSnapshot> {
    const document = this.document(sessionId);
    const fields = sessionFields(session);
    return this.bounded(async () => {
      const writeTime =
        belief === undefined ? undefined : await this.write(document, fields, belief).catch(unlessConflict);
      if (writeTime) return written(session, writeTime);
      return this.change(document, ({ state }) => {
        if (state === "destroyed") throw new SessionDestroyedError();
        return session;
      });
    });
  }

  /**
   * Prolongs the life of a session to `ttlMs` from now, if it has less than half of that left.
   *
   * @param unstored is written if it is newer than the document, or there is none
   */
  extend(sessionId: string, ttlMs: number, unstored?: UnstoredSession): Promise<SessionSnapshot> {
    return this.bounded(() =>
      this.change(this.document(sessionId), ({ state, version, asOfMs }) => {
        if (state === "destroyed") return undefined;
        const expiresAtMs = asOfMs + ttlMs;
        if (unstored && (state === "absent" || version < unstored.version)) {
          return { data: unstored.data, expiresAtMs };
        }
        if (state === "absent" || state.expiresAtMs - asOfMs >= ttlMs / 2) return undefined;
        return { data: state.data, expiresAtMs };
      }),
    );
  }

  /** Destroys a session for good: one write. */
  destroy(sessionId: string): Promise<SessionSnapshot> {
    return this.bounded(async () => {
      const { writeTime } = await this.document(sessionId).set(destroyedFields(this.destroyed()));
      return written("destroyed", writeTime);
    });
  }

  /** Destroys a session if it has a document. */
  destroyExisting(sessionId: string): Promise<void> {
    return this.bounded(async () => {
      const { FieldValue } = classesOf(this.firestore());
      const fields = { ...destroyedFields(this.destroyed()), data: FieldValue.delete() };
      await this.document(sessionId).update(fields).catch(unlessConflict);
    });
  }

  private destroyed(): Pick<Session, "expiresAtMs"> {
    return { expiresAtMs: Date.now() + destroyedForMs(this.options.ttlSeconds) };
  }

  /** Reads a document and writes what is decided, until no other writer comes in between. */
  private change(
    document: DocumentReference,
    decide: (current: SessionSnapshot) => Session | undefined,
  ): Promise<SessionSnapshot> {
    return retryConflicts(this.timeoutMs, async () => {
      const current = await document.get();
      const snapshot = this.toSnapshot(current);
      const session = decide(snapshot);
      if (session === undefined) return snapshot;
      const belief = current.updateTime ? toVersion(current.updateTime) : "no document";
      return written(session, await this.write(document, sessionFields(session), belief));
    });
  }

  private async write(document: DocumentReference, fields: DocumentData, belief: Belief): Promise<Timestamp> {
    const { writeTime } = await (belief === "no document"
      ? document.create(fields)
      : document.update(fields, { lastUpdateTime: toTimestamp(this.firestore(), belief) }));
    return writeTime;
  }

  private toSnapshot(document: DocumentSnapshot): SessionSnapshot {
    const asOfMs = document.readTime.toMillis();
    const state = this.parse(document);
    return {
      state: typeof state === "object" && state.expiresAtMs <= asOfMs ? "absent" : state,
      version: toVersion(document.updateTime ?? document.readTime),
      asOfMs,
    };
  }

  private parse(document: DocumentSnapshot): SessionSnapshot["state"] {
    try {
      return parseSessionDocument(document.data());
    } catch (error) {
      if (!(error instanceof InvalidSessionDocumentError)) throw error;
      this.logs.sessionDocumentInvalid(document.id, error.message);
      return "absent";
    }
  }

  private document(sessionId: string): DocumentReference {
    return this.firestore().doc(`${this.options.collectionPath}/${sessionId}`);
  }

  private bounded<T>(work: () => Promise<T>): Promise<T> {
    return withinTimeLimit(this.options.collectionPath, this.timeoutMs, work, () => true);
  }
}

function written(state: SessionSnapshot["state"], writeTime: Timestamp): SessionSnapshot {
  return { state, version: toVersion(writeTime), asOfMs: writeTime.toMillis() };
}

function unlessConflict(error: unknown): undefined {
  if (!isConflict(error)) throw error;
}
