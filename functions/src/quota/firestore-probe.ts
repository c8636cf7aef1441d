import { randomUUID } from "node:crypto";

import type { Firestore } from "firebase-admin/firestore";

import { classesOf, toVersion, withinTimeLimit } from "../firestore";
import { GrpcStatus } from "../grpc-status";
import { SYNC_FIELD } from "./quota";

/** Limit of one operation. */
const TIMEOUT_MS = 10_000;

/** Finds out how the quota collection can be used. Every method throws FirestoreUnavailableError. */
export class FirestoreProbe {
  constructor(
    private readonly firestore: () => Firestore,
    private readonly collectionPath: string,
  ) {}

  /** Whether these credentials may write documents. Writes nothing: an update of no document fails, if it is allowed. */
  mayWrite(): Promise<boolean> {
    const document = this.firestore().doc(`${this.collectionPath}/frq-doctor-${randomUUID()}`);
    return this.bounded(async () => {
      try {
        await document.update({ [SYNC_FIELD]: classesOf(this.firestore()).FieldValue.delete() });
        return true;
      } catch (error) {
        const { code } = error as { code?: unknown };
        if (code === GrpcStatus.NOT_FOUND) return true;
        if (code === GrpcStatus.PERMISSION_DENIED) return false;
        throw error;
      }
    });
  }

  /** Changes a document in a field of this product only, and returns its version then: one billed write. */
  touch(providerId: string): Promise<number> {
    const document = this.firestore().doc(`${this.collectionPath}/${providerId}`);
    return this.bounded(async () => {
      const { writeTime } = await document.update({
        [`${SYNC_FIELD}.probedAt`]: classesOf(this.firestore()).FieldValue.serverTimestamp(),
      });
      return toVersion(writeTime);
    });
  }

  private bounded<T>(work: () => Promise<T>): Promise<T> {
    return withinTimeLimit(this.collectionPath, TIMEOUT_MS, work);
  }
}
