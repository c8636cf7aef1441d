import { createHash, randomBytes } from "node:crypto";

import type { DocumentData, DocumentReference } from "firebase-admin/firestore";

import { withinTimeLimit } from "../firestore";
import { GrpcStatus } from "../grpc-status";
import { CALL_RECORD_TTL_MS, type CallRecord, type CallRecords } from "./call-records";

/** Subcollection of a provider document: calls that had an idempotency key. A TTL policy on `expireAt` removes them. */
const CALLS = "quotaCalls";

/** The records of idempotency keys in Firestore: documents below the provider's. */
export class FirestoreCallRecords implements CallRecords {
  constructor(
    private readonly document: (providerId: string) => DocumentReference,
    private readonly timeoutMs: number,
  ) {}

  /** The record of this name of a provider. */
  of(document: DocumentReference, name: string): DocumentReference {
    return document.collection(CALLS).doc(sha256(name));
  }

  async claim(providerId: string, name: string): Promise<boolean> {
    return this.create(providerId, name, { claimId: randomBytes(8).toString("base64url") });
  }

  /** Makes a record, and returns whether there was none. */
  create(providerId: string, name: string, fields: DocumentData): Promise<boolean> {
    const record = this.of(this.document(providerId), name);
    const create = async () => {
      try {
        await record.create({ ...fields, expireAt: recordExpiry() });
        return true;
      } catch (error) {
        if ((error as { code?: unknown }).code !== GrpcStatus.ALREADY_EXISTS) throw error;
        // Firestore's client repeats a write whose answer is lost; its own record is then in the way.
        const { claimId } = fields as { readonly claimId?: string };
        return claimId !== undefined && (await record.get()).get("claimId") === claimId;
      }
    };
    return withinTimeLimit(record.path, this.timeoutMs, create, () => true);
  }
}

/** The call in a record; undefined where there is none, or only Redis can tell whether it was counted. */
export function toCallRecord(data: DocumentData | undefined): CallRecord | undefined {
  if (data === undefined || data["unknown"]) return undefined;
  const { cost, used, limit, found } = data as CallRecord;
  return { cost, used, limit, found };
}

/** When a record that is made now is deleted by the TTL policy. */
export function recordExpiry(): Date {
  return new Date(Date.now() + CALL_RECORD_TTL_MS);
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
