import type { Firestore } from "firebase-admin/firestore";

import { classesOf, dataOf, toVersion } from "../firestore";
import type { Logs } from "../observability/logs";
import { InvalidQuotaDocumentError, parseMarker, parseQuota, SYNC_FIELD, type QuotaFields } from "./quota";
import type { RedisQuotaStore } from "./redis-quota-store";

/** Documents read together. */
const PAGE = 500;

/** Where a backfill stands; all that the next part of it needs to know. */
export interface BackfillProgress {
  /** Names the backfill, so that a part that is asked for twice is recognised. */
  readonly runId: string;
  /** Id of the last document that was read; absent at the start. */
  readonly cursor?: string | undefined;
  /** Documents in the collection when the backfill began. */
  readonly documents: number;
  readonly mirrored: number;
  readonly invalid: number;
}

/** What a backfill will read, each billed as one document read; aggregation counts cost one per 1,000 documents. */
export interface BackfillPlan {
  readonly documents: number;
  readonly reads: number;
}

/** Brings all documents of the collection into Redis, page by page behind a cursor: each is read once. */
export class QuotaBackfill {
  constructor(
    private readonly firestore: () => Firestore,
    private readonly collectionPath: string,
    private readonly fields: QuotaFields,
    private readonly store: RedisQuotaStore,
    private readonly logs: Logs,
  ) {}

  /** Counts what there is to do, before anything is read. */
  async plan(): Promise<BackfillPlan> {
    const counted = await this.firestore().collection(this.collectionPath).count().get();
    const documents = Number(counted.data().count);
    return { documents, reads: documents + Math.max(1, Math.ceil(documents / 1000)) };
  }

  /** Starts a backfill: says in the log what it will cost. */
  async begin(runId: string): Promise<BackfillProgress> {
    const plan = await this.plan();
    this.logs.backfillPlanned(this.collectionPath, plan);
    return { runId, documents: plan.documents, mirrored: 0, invalid: 0 };
  }

  /**
   * Goes on from where a backfill stands, until it has reached the end or the deadline (Unix time, milliseconds).
   * Safe to repeat: an entry only ever takes a newer version.
   *
   * @returns where it stands then, and whether that is the end
   * @throws RedisUnavailableError, and Firestore's own errors; the same progress can then be continued later.
   */
  async goOn(
    progress: BackfillProgress,
    { deadlineMs }: { readonly deadlineMs: number },
  ): Promise<{ readonly progress: BackfillProgress; readonly done: boolean }> {
    let current = progress;
    for (;;) {
      const page = await this.mirrorPage(current.cursor);
      current = {
        ...current,
        cursor: page.cursor ?? current.cursor,
        mirrored: current.mirrored + page.mirrored,
        invalid: current.invalid + page.invalid,
      };
      const done = page.cursor === undefined;
      this.logs.backfillProgressed(current, done);
      if (done) {
        const { documents, mirrored, invalid } = current;
        await this.store.recordBackfill({ endedAtMs: Date.now(), documents, mirrored, invalid });
      }
      if (done || Date.now() >= deadlineMs) return { progress: current, done };
    }
  }

  private async mirrorPage(
    after: string | undefined,
  ): Promise<{ readonly cursor: string | undefined; readonly mirrored: number; readonly invalid: number }> {
    const { usedField, limitField } = this.fields;
    const firestore = this.firestore();
    const ordered = firestore
      .collection(this.collectionPath)
      .orderBy(classesOf(firestore).FieldPath.documentId());
    const behind = after === undefined ? ordered : ordered.startAfter(after);
    const page = await behind.select(usedField, limitField, SYNC_FIELD).limit(PAGE).get();
    const mirrored = await Promise.all(
      page.docs.map(async (document) => {
        const data = dataOf(document)!;
        const version = toVersion(document.updateTime);
        const created = toVersion(document.createTime);
        const asOfMs = page.readTime.toMillis();
        const snapshot = { version, created, asOfMs, marker: parseMarker(data) };
        try {
          await this.store.apply(document.id, {
            ...snapshot,
            quota: parseQuota(data, this.fields),
          });
          return true;
        } catch (error) {
          if (!(error instanceof InvalidQuotaDocumentError)) throw error;
          this.logs.quotaDocumentInvalid(document.ref.path, error.message);
          await this.store.invalidate(document.id, snapshot);
          return false;
        }
      }),
    );
    const valid = mirrored.filter(Boolean).length;
    // Only an empty page is the end.
    return { cursor: page.docs.at(-1)?.id, mirrored: valid, invalid: mirrored.length - valid };
  }
}
