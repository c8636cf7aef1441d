import { randomBytes } from "node:crypto";

import type {
  Timestamp,
  DocumentData,
  DocumentReference,
  DocumentSnapshot,
  Firestore,
} from "firebase-admin/firestore";

import { TimeUpError } from "../deadline";
import { dataOf, retryConflicts, toTimestamp, toVersion, withinTimeLimit } from "../firestore";
import { assessKey, callName, refundedName, type CallRecord } from "./call-records";
import { FirestoreCallRecords, recordExpiry, toCallRecord } from "./firestore-call-records";
import type { Flush } from "./flush";
import {
  decideConsumption,
  InvalidQuotaDocumentError,
  missingLimit,
  parseMarker,
  parseQuota,
  SYNC_FIELD,
  type MissingProvider,
  type QuotaCall,
  type QuotaFields,
  type QuotaSnapshot,
} from "./quota";

/** Limit of one operation. */
const TIMEOUT_MS = 10_000;

/**
 * How long a document keeps the id of a call that it counted, by Firestore's clock. It must exceed the time limit of one
 * operation: Firestore's client repeats a write whose answer is lost, and the id keeps it from counting twice.
 *
 * Only calls of the last 30 s that other instances made are kept, at 36 bytes each. So a document would have to be
 * written about 900 times per second to reach Firestore's limit of 1 MiB, which rejects the write.
 */
const CALL_ID_TTL_MS = 30_000;

/** Ids of answered calls that an instance keeps in order to remove them from their documents at its next write. */
const MAX_ANSWERED_IDS = 10_000;

/** Whether Redis counted the call is not known, so that Firestore must not count it again. */
export class UnknownCallError extends Error {
  override readonly name = "UnknownCallError";
}

/** What Firestore decided; `snapshot` is the document after it, absent for the repetition of an earlier call. */
export interface FirestoreDecision {
  readonly allowed: boolean;
  readonly used: number;
  readonly limit: number;
  readonly found: boolean;
  /** Whether this is the answer of an earlier call with the same idempotency key. */
  readonly replayed: boolean;
  readonly snapshot?: QuotaSnapshot;
}

/** A document of the collection, and whether it has the quota's fields. */
export interface SampledDocument {
  readonly providerId: string;
  readonly hasUsed: boolean;
  readonly hasLimit: boolean;
  /** What is wrong with its quota, if anything. */
  readonly problem: string | undefined;
}

/** A call that a document counted, and when its writer had read the document, by Firestore's clock. */
interface CountedCall {
  readonly callId: string;
  readonly readMs: number;
}

/** One call of {@link FirestoreQuotaStore.consume}, with all its attempts. */
interface Attempt {
  /** Names the call in the document. */
  readonly callId: string;
  /** What a write that was sent counts and answers, be it that its answer is lost. */
  sent: Omit<FirestoreDecision, "snapshot"> | undefined;
  isOver: boolean;
}

/** Provider quotas in Firestore. Every method throws FirestoreUnavailableError, after 10 s at the latest. */
export class FirestoreQuotaStore {
  /** The calls that had an idempotency key. */
  readonly records: FirestoreCallRecords;
  /** Calls of this instance that are over, so that no document has to remember them. */
  private readonly answeredIds = new Set<string>();

  constructor(
    private readonly firestore: () => Firestore,
    private readonly collectionPath: string,
    private readonly options: QuotaFields & MissingProvider,
    private readonly timeoutMs = TIMEOUT_MS,
  ) {
    this.records = new FirestoreCallRecords((providerId) => this.document(providerId), timeoutMs);
  }

  /**
   * Reads one provider: one billed document read.
   *
   * @throws InvalidQuotaDocumentError
   */
  read(providerId: string): Promise<QuotaSnapshot> {
    const document = this.document(providerId);
    return this.bounded(document.path, async () => this.toSnapshot(await document.get()));
  }

  /** Reads some documents of the collection, one billed document read each. */
  sample(count: number): Promise<SampledDocument[]> {
    return this.bounded(this.collectionPath, async () => {
      const { docs } = await this.firestore().collection(this.collectionPath).limit(count).get();
      return docs.map((document) => ({
        providerId: document.id,
        hasUsed: document.get(this.options.usedField) !== undefined,
        hasLimit: document.get(this.options.limitField) !== undefined,
        problem: this.problemOf(document),
      }));
    });
  }

  /** Reads many providers, one billed document read each; an invalid document is an error in its place. */
  readMany(providerIds: readonly string[]): Promise<(QuotaSnapshot | InvalidQuotaDocumentError)[]> {
    if (providerIds.length === 0) return Promise.resolve([]);
    return this.bounded(this.collectionPath, async () => {
      const documents = await this.firestore().getAll(...providerIds.map((id) => this.document(id)));
      return documents.map((document) => {
        try {
          return this.toSnapshot(document);
        } catch (error) {
          if (error instanceof InvalidQuotaDocumentError) return error;
          throw error;
        }
      });
    });
  }

  /**
   * Decides one call by what the document holds, and counts it there if it is within the quota: a read, and a write
   * that another writer in between makes start anew. The document of a provider without one is made where the default
   * limit holds for it.
   *
   * @throws InvalidQuotaDocumentError
   * @throws UnknownCallError after {@link rememberUnknown}
   */
  consume(call: QuotaCall): Promise<FirestoreDecision> {
    const document = this.document(call.providerId);
    const callId = randomBytes(8).toString("base64url");
    const attempt: Attempt = { callId, sent: undefined, isOver: false };
    const decide = () => retryConflicts(this.timeoutMs, () => this.tryToConsume(document, call, attempt));
    // A conflict proves nothing: Firestore's client repeats a write whose answer is lost, and its own write is in the way.
    return this.bounded(document.path, decide, () => attempt.sent !== undefined).finally(() => {
      attempt.isOver = true;
      if (this.answeredIds.size >= MAX_ANSWERED_IDS) this.answeredIds.clear();
      this.answeredIds.add(callId);
    });
  }

  /** Keeps Firestore from counting a call of which only Redis can tell whether it was counted. */
  async rememberUnknown(call: QuotaCall): Promise<void> {
    const name = callName(call);
    // Where it fails to be made, there is an answer already.
    if (name !== undefined)
      await this.records.create(call.providerId, name, { unknown: true, cost: call.cost });
  }

  /**
   * Adds flushed usage to the documents, each flush exactly once however often it is tried and by whom. Most take one
   * conditional write; where the document has changed since its snapshot, a transaction.
   *
   * @returns what each document holds afterwards, or why its flush could not be made and is to be tried again
   */
  async commitFlushes(flushes: readonly Flush[]): Promise<(QuotaSnapshot | Error)[]> {
    const bulkWriter = this.firestore().bulkWriter({ throttling: false });
    bulkWriter.onWriteError(() => false);
    const commits = flushes.map((flush) => this.commitFlush(flush, bulkWriter));
    // Sends what is left. It is not waited for: each commit has its own time limit.
    void bulkWriter.close();
    return Promise.all(commits);
  }

  private async commitFlush(
    flush: Flush,
    bulkWriter: FirebaseFirestore.BulkWriter,
  ): Promise<QuotaSnapshot | Error> {
    const { providerId, flushId, version, base } = flush;
    const document = this.document(providerId);
    const used = Math.max(0, (typeof base === "object" ? base.used : 0) + flush.amount);
    const write = () =>
      base === "none"
        ? bulkWriter.create(document, this.newDocument(used, { flushId }))
        : bulkWriter.update(document, this.change(used, { flushId }), {
            lastUpdateTime: toTimestamp(this.firestore(), version),
          });
    try {
      return await this.bounded(document.path, async () => {
        if (base !== "unknown") {
          const written = await write().catch(() => undefined);
          if (written) {
            const limit = typeof base === "object" ? base.limit : this.options.defaultLimit;
            return { ...this.written(written.writeTime, { used, limit }), marker: flushId, created: 0 };
          }
        }
        await this.settle(flush);
        return this.toSnapshot(await document.get());
      });
    } catch (error) {
      return error as Error;
    }
  }

  /** Adds a flush to a document that may have changed since, or may contain it already. */
  private async settle({ providerId, flushId, amount, version, base }: Flush): Promise<void> {
    const document = this.document(providerId);
    await this.firestore().runTransaction(async (transaction) => {
      const current = await transaction.get(document);
      const data = dataOf(current);
      if (data === undefined) {
        // Usage on top of a document that is gone dies with it.
        if (base === "none") transaction.create(document, this.newDocument(Math.max(0, amount), { flushId }));
        return;
      }
      if (parseMarker(data) >= flushId) return;
      const { used } = parseQuota(data, this.options);
      // What was used of a document that has since been deleted died with it.
      if (base !== "none" && toVersion(current.createTime!) > version) return;
      transaction.update(document, this.change(Math.max(0, used + amount), { flushId }));
    });
  }

  private async tryToConsume(
    document: DocumentReference,
    call: QuotaCall,
    attempt: Attempt,
  ): Promise<FirestoreDecision> {
    const [name, refunded] = [callName(call), refundedName(call)];
    const record = name === undefined ? undefined : this.records.of(document, name);
    const [current, earlier, consumption] = await this.firestore().getAll(
      document,
      ...(record ? [record] : []),
      ...(refunded === undefined ? [] : [this.records.of(document, refunded)]),
    );
    const first = earlier && dataOf(earlier);
    const assessed = assessKey(
      call,
      first as CallRecord | undefined,
      toCallRecord(consumption && dataOf(consumption)),
    );
    if (first?.["unknown"]) throw new UnknownCallError("an earlier attempt had no answer from Redis");
    if (assessed === "replay") {
      const { used, limit, found, callId } = first as CallRecord & { readonly callId?: string };
      return { allowed: true, used, limit, found, replayed: callId !== attempt.callId };
    }
    const data = dataOf(current!);
    const counted = countedCalls(data);
    if (attempt.sent && counted.some(({ callId }) => callId === attempt.callId)) return attempt.sent;
    const limitWithout = missingLimit(this.options);
    const before = data ? parseQuota(data, this.options) : { used: 0, limit: limitWithout ?? 0 };
    const found = data !== undefined;
    const snapshot = this.toSnapshot(current!);
    const { allowed, used } =
      assessed === "reject" ? { allowed: false, used: before.used } : decideConsumption(before, call.cost);
    const answer = { used, limit: before.limit, found };
    const isCounted = used !== before.used;
    if (!allowed || !(isCounted || record)) return { allowed, ...answer, replayed: false, snapshot };

    const batch = this.firestore().batch();
    if (isCounted) {
      const sync = { calls: this.remember(counted, attempt.callId, current!.readTime.toMillis()) };
      if (found) batch.update(document, this.change(used, sync), { lastUpdateTime: current!.updateTime! });
      else batch.create(document, this.newDocument(used, sync));
    }
    if (record) {
      const { cost } = call;
      batch.create(record, { cost, ...answer, callId: attempt.callId, expireAt: recordExpiry() });
    }
    // The caller has been told that nothing was counted.
    if (attempt.isOver) throw new TimeUpError("the time was up");
    attempt.sent = { allowed, ...answer, replayed: false };
    const [written] = await batch.commit();
    if (!isCounted) return { ...attempt.sent, snapshot };
    const after = this.written(written!.writeTime, { used, limit: before.limit });
    return { ...attempt.sent, snapshot: { ...after, marker: snapshot.marker, created: snapshot.created } };
  }

  /** What the document remembers after it has counted another call. */
  private remember(earlier: readonly CountedCall[], callId: string, nowMs: number): CountedCall[] {
    const needed = earlier.filter(
      (each) => nowMs - each.readMs < CALL_ID_TTL_MS && !this.answeredIds.delete(each.callId),
    );
    return [...needed, { callId, readMs: nowMs }];
  }

  private problemOf(document: DocumentSnapshot): string | undefined {
    try {
      this.toSnapshot(document);
      return undefined;
    } catch (error) {
      if (error instanceof InvalidQuotaDocumentError) return error.message;
      throw error;
    }
  }

  private document(providerId: string): DocumentReference {
    return this.firestore().doc(`${this.collectionPath}/${providerId}`);
  }

  /** The fields of a document that is to have been used so often. */
  private change(used: number, sync: Readonly<Record<string, unknown>>): DocumentData {
    const syncFields = Object.entries(sync).map(([name, value]) => [`${SYNC_FIELD}.${name}`, value]);
    return { [this.options.usedField]: used, ...Object.fromEntries(syncFields) };
  }

  private newDocument(used: number, sync: Readonly<Record<string, unknown>>): DocumentData {
    const nested = this.options.usedField
      .split(".")
      .reduceRight<unknown>((value, key) => ({ [key]: value }), used);
    return { ...(nested as DocumentData), [SYNC_FIELD]: sync };
  }

  private written(
    writeTime: Timestamp,
    quota: QuotaSnapshot["quota"],
  ): Omit<QuotaSnapshot, "marker" | "created"> {
    return { quota, version: toVersion(writeTime), asOfMs: writeTime.toMillis() };
  }

  private toSnapshot(document: DocumentSnapshot): QuotaSnapshot {
    const data = dataOf(document);
    return {
      quota: data && parseQuota(data, this.options),
      version: toVersion(document.updateTime ?? document.readTime),
      asOfMs: document.readTime.toMillis(),
      marker: parseMarker(data),
      created: document.createTime ? toVersion(document.createTime) : 0,
    };
  }

  private bounded<T>(path: string, work: () => Promise<T>, mayBeWritten?: () => boolean): Promise<T> {
    return withinTimeLimit(path, this.timeoutMs, work, mayBeWritten);
  }
}

/** The calls that a document remembers. */
function countedCalls(data: DocumentData | undefined): readonly CountedCall[] {
  const calls = (data?.[SYNC_FIELD] as DocumentData | undefined)?.["calls"] as unknown;
  return Array.isArray(calls) ? (calls as CountedCall[]) : [];
}
