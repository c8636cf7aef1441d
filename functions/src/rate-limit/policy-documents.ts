import type { Firestore, QueryDocumentSnapshot, QuerySnapshot, Timestamp } from "firebase-admin/firestore";

import { withDeadline } from "../deadline";
import { dataOf, withinTimeLimit } from "../firestore";
import type { Logs } from "../observability/logs";
import { checkPolicy, InvalidPolicies, type Policy } from "./policy";
import type { PoliciesByName, PolicySource } from "./policy-source";

/** Enough to open a stream in a new process, and no more than a request may wait for its limit. */
const FIRST_SNAPSHOT_TIMEOUT_MS = 1000;

/** Limit of reading all documents once. */
const READ_TIMEOUT_MS = 10_000;

const MIN_RETRY_DELAY_MS = 5000;
const MAX_RETRY_DELAY_MS = 60_000;

/** The last version read of a document, and its policy: if it is invalid, the last valid one, if there is one. */
interface ReadDocument {
  readonly updateTime: Timestamp;
  readonly policy: Policy | InvalidPolicies;
}

/**
 * Policies from the documents of a collection, each named by its id, over those of the configuration. A listener,
 * started by the first call, puts a change into force in this process as soon as Firestore tells of it. Whatever fails,
 * the policies known last stay in force.
 *
 * A process that gets no CPU between requests hears nothing meanwhile. Afterwards it learns what it missed from the same
 * stream, or from the new one that Google's client opens after 120 s of silence; the first requests may come before that.
 */
export class PolicyDocuments implements PolicySource {
  private readonly configured: ReadonlyMap<string, Policy>;
  private documents: ReadonlyMap<string, ReadDocument> = new Map();
  private inForce: PoliciesByName;
  private firstAnswer: Promise<PoliciesByName> | undefined;
  private answered = false;
  private stopWaiting = (): void => undefined;
  private stopListening = (): void => undefined;
  private retryTimer: NodeJS.Timeout | undefined;
  private retryDelayMs = MIN_RETRY_DELAY_MS;

  /** @param configured the policies of the configuration */
  constructor(
    private readonly firestore: () => Firestore,
    private readonly collectionPath: string,
    configured: readonly Policy[],
    private readonly logs: Logs,
  ) {
    this.configured = new Map(configured.map((policy) => [policy.name, policy]));
    this.inForce = this.configured;
  }

  policies(): PoliciesByName | Promise<PoliciesByName> {
    return this.answered ? this.inForce : (this.firstAnswer ??= this.start().catch(this.forgetStart));
  }

  /** Ends the listener; what is known stays in force. */
  close(): void {
    this.stopListening();
    clearTimeout(this.retryTimer);
    this.stopWaiting();
    this.answered = true;
  }

  /** The Firestore client could not be made; the next call tries again. */
  private readonly forgetStart = (error: unknown): never => {
    this.firstAnswer = undefined;
    throw error;
  };

  private async start(): Promise<PoliciesByName> {
    const firstSnapshot = new Promise<void>((resolve) => (this.stopWaiting = resolve));
    this.listen();
    try {
      const late = `No snapshot within ${FIRST_SNAPSHOT_TIMEOUT_MS} ms`;
      await withDeadline(firstSnapshot, FIRST_SNAPSHOT_TIMEOUT_MS, late);
    } catch (error) {
      this.logs.policyDocumentsUnavailable(this.collectionPath, error as Error);
    }
    this.answered = true;
    return this.inForce;
  }

  private listen(): void {
    this.stopListening = this.firestore()
      .collection(this.collectionPath)
      .onSnapshot(
        (snapshot) => this.tryToApply(snapshot),
        (error) => this.listenAgain(error),
      );
  }

  /** Nothing that a timer or a listener throws reaches the event loop, where it would end the process. */
  private tryToListen(): void {
    try {
      this.listen();
    } catch (error) {
      this.listenAgain(error as Error);
    }
  }

  private tryToApply(snapshot: QuerySnapshot): void {
    try {
      this.apply(snapshot);
    } catch (error) {
      this.stopListening();
      this.listenAgain(error as Error);
    }
  }

  /** Google's client has by itself tried again, for minutes, what could succeed. */
  private listenAgain(error: Error): void {
    this.logs.policyDocumentsUnavailable(this.collectionPath, error);
    this.stopWaiting();
    this.retryTimer = setTimeout(() => this.tryToListen(), this.retryDelayMs).unref();
    this.retryDelayMs = Math.min(2 * this.retryDelayMs, MAX_RETRY_DELAY_MS);
  }

  private apply(snapshot: QuerySnapshot): void {
    this.documents = new Map(snapshot.docs.map((document) => [document.id, this.read(document)]));
    const inForce = new Map<string, Policy | InvalidPolicies>(this.configured);
    for (const [name, { policy }] of this.documents)
      if (!(policy instanceof InvalidPolicies && inForce.has(name))) inForce.set(name, policy);
    this.inForce = inForce;
    this.stopWaiting();
    this.retryDelayMs = MIN_RETRY_DELAY_MS;
  }

  /** An unchanged document keeps its policy as the same object, by which stores know what they remember of it. */
  private read(document: QueryDocumentSnapshot): ReadDocument {
    const { id, ref, updateTime } = document;
    const before = this.documents.get(id);
    if (before?.updateTime.isEqual(updateTime)) return before;
    const policy = policyOf(document);
    if (!(policy instanceof InvalidPolicies)) return { updateTime, policy };
    this.logs.policyDocumentInvalid(ref.path, policy.problems);
    const last = before?.policy;
    return { updateTime, policy: last && !(last instanceof InvalidPolicies) ? last : policy };
  }
}

/** A policy's document, as it is now. */
export interface PolicyDocument {
  readonly path: string;
  /** The policy, or what is wrong with the document. */
  readonly policy: Policy | InvalidPolicies;
}

/**
 * All documents of a collection of policies, each a billed read.
 *
 * @throws FirestoreUnavailableError
 */
export async function readPolicyDocuments(
  firestore: Firestore,
  collectionPath: string,
): Promise<PolicyDocument[]> {
  const { docs } = await withinTimeLimit(collectionPath, READ_TIMEOUT_MS, () =>
    firestore.collection(collectionPath).get(),
  );
  return docs.map((document) => ({ path: document.ref.path, policy: policyOf(document) }));
}

function policyOf(document: QueryDocumentSnapshot): Policy | InvalidPolicies {
  try {
    return checkPolicy(document.id, dataOf(document)!);
  } catch (error) {
    if (error instanceof InvalidPolicies) return error;
    throw error;
  }
}
