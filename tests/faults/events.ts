import type { QueryDocumentSnapshot } from "@google-cloud/firestore";

import { toVersion } from "../../functions/dist/firestore.js";
import type { Stage } from "./stage.ts";

/**
 * Brings each change of a provider document to Redis as the trigger does: one after the other for each document, and
 * as the deployed function repeats it while Redis is away.
 *
 * @returns what ends that, and waits for those under way
 */
export function deliverEvents({ direct, collection, instances }: Stage): () => Promise<void> {
  const { quotaMirror } = instances[0]!;
  const waiting = new Map<string, QueryDocumentSnapshot>();
  const underWay = new Map<string, Promise<void>>();
  const deliver = async (id: string): Promise<void> => {
    for (let document = waiting.get(id); document; document = waiting.get(id)) {
      waiting.delete(id);
      await quotaMirror
        .mirror({
          providerId: id,
          path: document.ref.path,
          data: document.data(),
          version: toVersion(document.updateTime),
          created: toVersion(document.createTime),
          asOfMs: document.updateTime.toMillis(),
        })
        .catch(() => {});
    }
    underWay.delete(id);
  };
  const end = direct.firestore.collection(collection).onSnapshot((snapshot) => {
    for (const { doc } of snapshot.docChanges()) {
      waiting.set(doc.id, doc);
      if (!underWay.has(doc.id)) underWay.set(doc.id, deliver(doc.id));
    }
  });
  return async () => {
    end();
    await Promise.all(underWay.values());
  };
}
