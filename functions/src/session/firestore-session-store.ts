import type {
  DocumentData,
  DocumentReference,
  DocumentSnapshot,
  Firestore,
  Timestamp,
} from "firebase-admin/firestore";

import {
  classesOf,
  dataOf,
  isConflict,
  retryConflicts,
  toTimestamp,
  toVersion,
  withinTimeLimit,
} from "../firestore";
import type { Logs } from "../observability/logs";
import {
  destroyedForMs,
  SessionDestroyedError,
  type Session,
  type SessionSnapshot,
  type UnstoredSession,
} from "./session";
import type { SessionData } from "./session-data";
import {
  destroyedFields,
  InvalidSessionDocumentError,
  parseSessionDocument,
  sessionFields,
} from "./session-document";

/** Limit of one operation. */
const TIMEOUT_MS = 10_000;

/** Firestore's clock is read again if the two clocks of the process have moved apart by more. */
const MAX_CLOCK_JUMP_MS = 1000;

/** What a writer believes of a document: its version, or that there is none. A wrong belief costs a read. */
export type Belief = number | "no document";

export interface FirestoreSessionStoreOptions {
  readonly collectionPath: string;
  readonly ttlSeconds: number;
}

/**
 * Sessions in Firestore. Their lifetimes follow Firestore's clock only. Every method throws FirestoreUnavailableError,
 * after 10 s at the latest. Errors name the collection and no document: who has a session's id has the session.
 */
export class FirestoreSessionStore {
  /**
   * Firestore's clock, and the wall clock at that time, both minus this process's monotonic clock; undefined until
   * Firestore has replied.
   */
  private clock: { readonly offsetMs: number; readonly wallOffsetMs: number } | undefined;

  constructor(
    private readonly firestore: () => Firestore,
    private readonly options: FirestoreSessionStoreOptions,
    private readonly logs: Logs,
    private readonly timeoutMs = TIMEOUT_MS,
  ) {}

  /** Reads one session: one billed document read. One that has expired is absent. */
  read(sessionId: string): Promise<SessionSnapshot> {
    return this.bounded(async () => this.toSnapshot(await this.get(this.document(sessionId))));
  }

  /**
   * Writes a session that expires in `ttlMs`: one write if the belief is right, else a read as well. The first call of a
   * process reads too, to learn Firestore's time, as does one after the process was suspended.
   *
   * @throws SessionDestroyedError
   */
  set(sessionId: string, data: SessionData, ttlMs: number, belief?: Belief): Promise<SessionSnapshot> {
    const document = this.document(sessionId);
    return this.bounded(async () => {
      const nowMs = this.nowMs();
      if (belief !== undefined && nowMs !== undefined) {
        const session = { data, expiresAtMs: nowMs + ttlMs };
        const writeTime = await this.write(document, sessionFields(session), belief).catch(unlessConflict);
        if (writeTime) return written(session, writeTime);
      }
      return this.change(document, ({ state, asOfMs }) => {
        if (state === "destroyed") throw new SessionDestroyedError();
        return { data, expiresAtMs: asOfMs + ttlMs };
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

  /** Destroys a session for good: one write, and in the first call of a process a read. */
  destroy(sessionId: string): Promise<SessionSnapshot> {
    const document = this.document(sessionId);
    return this.bounded(async () => {
      const { writeTime } = await document.set(await this.destroyedFields(document));
      this.setClock(writeTime);
      return written("destroyed", writeTime);
    });
  }

  /** Destroys a session if it has a document. */
  destroyExisting(sessionId: string): Promise<void> {
    const document = this.document(sessionId);
    return this.bounded(async () => {
      const { FieldValue } = classesOf(this.firestore());
      const fields = { ...(await this.destroyedFields(document)), data: FieldValue.delete() };
      await document.update(fields).catch(unlessConflict);
    });
  }

  private async destroyedFields(document: DocumentReference): Promise<DocumentData> {
    const nowMs = this.nowMs() ?? (await this.get(document)).readTime.toMillis();
    return destroyedFields({ expiresAtMs: nowMs + destroyedForMs(this.options.ttlSeconds) });
  }

  /** Reads a document and writes what is decided, until no other writer comes in between. */
  private change(
    document: DocumentReference,
    decide: (current: SessionSnapshot) => Session | undefined,
  ): Promise<SessionSnapshot> {
    return retryConflicts(this.timeoutMs, async () => {
      const current = await this.get(document);
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
    this.setClock(writeTime);
    return writeTime;
  }

  private async get(document: DocumentReference): Promise<DocumentSnapshot> {
    const snapshot = await document.get();
    this.setClock(snapshot.readTime);
    return snapshot;
  }

  private setClock(time: Timestamp): void {
    this.clock = { offsetMs: time.toMillis() - performance.now(), wallOffsetMs: wallOffsetMs() };
  }

  /** Firestore's time, Unix ms; undefined if it has to be read. */
  private nowMs(): number | undefined {
    // The monotonic clock stops while a virtual machine is suspended.
    if (!this.clock || Math.abs(wallOffsetMs() - this.clock.wallOffsetMs) > MAX_CLOCK_JUMP_MS)
      return undefined;
    return Math.round(performance.now() + this.clock.offsetMs);
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
      return parseSessionDocument(dataOf(document));
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

function wallOffsetMs(): number {
  return Date.now() - performance.now();
}

function written(state: SessionSnapshot["state"], writeTime: Timestamp): SessionSnapshot {
  return { state, version: toVersion(writeTime), asOfMs: writeTime.toMillis() };
}

function unlessConflict(error: unknown): undefined {
  if (!isConflict(error)) throw error;
}
