import { toVersion } from "../../functions/src/firestore.ts";
import type { assembleQuotaParts } from "./quota-parts.ts";

/** Documents of a collection that no function mirrors: what `mirrorQuota` would do is done here. */
export class ProviderDocuments {
  readonly #parts: ReturnType<typeof assembleQuotaParts>;

  constructor(parts: ReturnType<typeof assembleQuotaParts>) {
    this.#parts = parts;
  }

  /** Sets a document, or deletes it, once it has what Redis counted before, and comes back once Redis is told. */
  async set(providerId: string, document: Readonly<Record<string, unknown>> | undefined): Promise<void> {
    const { collection, sync } = this.#parts;
    const failures = await sync.flush([providerId]);
    for (const failure of failures.values()) throw failure;
    if (document) await collection.doc(providerId).set(document);
    else await collection.doc(providerId).delete();
    await this.mirror(providerId);
  }

  /** Tells Redis of all documents, as the events of an outage do when it is over. */
  async mirrorAll(): Promise<void> {
    const documents = await this.#parts.collection.listDocuments();
    await Promise.all(documents.map(({ id }) => this.mirror(id)));
  }

  private async mirror(providerId: string): Promise<void> {
    const document = await this.#parts.collection.doc(providerId).get();
    await this.#parts.mirror.mirror({
      providerId,
      path: document.ref.path,
      data: document.data(),
      version: toVersion(document.updateTime ?? document.readTime),
      created: document.createTime ? toVersion(document.createTime) : 0,
      asOfMs: document.readTime.toMillis(),
    });
  }
}
