import { type CallOptions, type ServiceError, credentials, makeClientConstructor } from "@grpc/grpc-js";
import { firestoreService } from "../../emulator/firestore/protocol.ts";

type Call = (
  request: object,
  options: CallOptions,
  callback: (error: ServiceError | null, response: object) => void,
) => void;

/** Firestore as the protocol has it, for what Google's Node client has no words for, or does not let through. */
export class FirestoreClient {
  readonly database: string;
  readonly #client;

  constructor(address: string, project: string) {
    const Client = makeClientConstructor(firestoreService, "Firestore");
    this.database = `projects/${project}/databases/(default)`;
    this.#client = new Client(address, credentials.createInsecure());
  }

  nameOf(path: string): string {
    return `${this.database}/documents/${path}`;
  }

  commit(
    writes: object[],
    transaction?: Buffer,
  ): Promise<{ writeResults: { transformResults: unknown[] }[] }> {
    return this.call("Commit", {
      database: this.database,
      writes,
      ...(transaction && { transaction }),
    }) as ReturnType<FirestoreClient["commit"]>;
  }

  batchWrite(writes: object[]): Promise<object> {
    return this.call("BatchWrite", { database: this.database, writes });
  }

  async beginTransaction(options: object = { readWrite: {} }): Promise<Buffer> {
    const answer = await this.call("BeginTransaction", { database: this.database, options });
    return (answer as { transaction: Buffer }).transaction;
  }

  rollback(transaction: Buffer): Promise<object> {
    return this.call("Rollback", { database: this.database, transaction });
  }

  call(method: string, request: object, options: CallOptions = {}): Promise<object> {
    const call = (this.#client as unknown as Record<string, Call>)[method];
    return new Promise((resolve, reject) => {
      call?.bind(this.#client)(request, options, (error, response) =>
        error ? reject(error) : resolve(response),
      );
    });
  }

  /** The responses of a method that answers with a stream. */
  async stream(method: string, request: object): Promise<object[]> {
    const start = (this.#client as unknown as Record<string, (request: object) => AsyncIterable<object>>)[
      method
    ];
    const responses: object[] = [];
    for await (const response of start?.bind(this.#client)(request) ?? []) responses.push(response);
    return responses;
  }

  close(): void {
    this.#client.close();
  }
}
