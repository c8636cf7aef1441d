import { AsyncLocalStorage } from "node:async_hooks";

import {
  GrpcStatus,
  type DocumentReference,
  type Firestore,
  type WriteResult,
} from "@google-cloud/firestore";

import type { RedisQuotaStore } from "../../functions/src/quota/redis-quota-store.ts";
import { RedisUnavailableError, type RedisConnection } from "../../functions/src/redis/connection.ts";
import type { Actor } from "./interleaving.ts";

/** An object that is another one but for some methods. */
function override<T extends object>(target: T, methods: Partial<T>): T {
  return Object.assign(Object.create(target) as T, methods);
}

const operationName = new AsyncLocalStorage<string>();

/** A connection to Redis each of whose operations is a step of an actor. */
export function steppedRedis(actor: Actor, connection: RedisConnection): RedisConnection {
  return override(connection, {
    run: (operation) =>
      actor.step(
        operationName.getStore() ?? "redis",
        () => connection.run(operation),
        (outcome) => new RedisUnavailableError("the test", outcome, new Error("a planned fault")),
      ),
  });
}

/** Has the steps of a store bear the names of its methods. */
export function nameSteps(store: RedisQuotaStore, methods: readonly (keyof RedisQuotaStore)[]): void {
  for (const name of methods) {
    const method = (store[name] as (...args: unknown[]) => unknown).bind(store);
    Object.assign(store, { [name]: (...args: unknown[]) => operationName.run(name, () => method(...args)) });
  }
}

/**
 * A Firestore client each of whose requests is a step of an actor. A transaction is one step: Firestore makes sure that
 * nothing comes between its reads and its writes.
 */
export function steppedFirestore(actor: Actor, firestore: Firestore): Firestore {
  const failure = () => Object.assign(new Error("a planned fault"), { code: GrpcStatus.UNAVAILABLE });
  const step = <T>(label: string, effect: () => Promise<T>) => actor.step(label, effect, failure);

  const reference = (real: DocumentReference): DocumentReference =>
    override(real, {
      get: () => step("get", () => real.get()),
      set: (data: object) => step("set", () => real.set(data)),
      create: (data: object) => step("create", () => real.create(data)),
      update: (...args: unknown[]) =>
        step("update", () => (real.update as (...rest: unknown[]) => Promise<WriteResult>).apply(real, args)),
      collection: (path) => {
        const collection = real.collection(path);
        return override(collection, { doc: (id?: string) => reference(collection.doc(id!)) });
      },
    });

  return override(firestore, {
    doc: (path) => reference(firestore.doc(path)),
    getAll: (...documents) => step("get all", () => firestore.getAll(...documents)),
    runTransaction: (work) => step("transaction", () => firestore.runTransaction(work)),
    batch: () => {
      const real = firestore.batch();
      return override(real, { commit: () => step("commit", () => real.commit()) });
    },
    bulkWriter: (options) => {
      const real = firestore.bulkWriter(options);
      const writes: Promise<unknown>[] = [];
      const write = <T>(send: () => Promise<T>): Promise<T> => {
        const written = step("blind write", async () => (await Promise.all([send(), real.flush()]))[0]);
        writes.push(written.catch(() => undefined));
        return written;
      };
      return override(real, {
        onWriteError: (handler) => real.onWriteError(handler),
        create: (document, data) => write(() => real.create(document, data)),
        update: (...args: Parameters<typeof real.update>) => write(() => real.update(...args)),
        flush: async () => void (await Promise.all(writes)),
        close: async () => {
          await Promise.all(writes);
          await real.close();
        },
      });
    },
  });
}
