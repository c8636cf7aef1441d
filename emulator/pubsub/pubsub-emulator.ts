import {
  type EmulatorAddress,
  type EmulatorInfo,
  type EmulatorInstance,
  EmulatorLogger,
  functionsEmulatorHost,
} from "../firebase-tools.ts";
import { PubsubServer, type Signature } from "./pubsub-server.ts";

/** Serves the Pub/Sub that schedules need, inside the CLI's process, where the CLI would run Google's emulator. */
export class StandInPubsubEmulator implements EmulatorInstance {
  readonly #address: EmulatorAddress;
  readonly #server: PubsubServer;

  constructor(args: EmulatorAddress & { projectId: string }) {
    const logger = EmulatorLogger.forEmulator("pubsub");
    this.#address = args;
    this.#server = new PubsubServer({
      projectId: args.projectId,
      functionsHost: functionsEmulatorHost,
      onFailedDelivery: (reason) => logger.logLabeled("WARN", "pubsub", `Delivery failed: ${reason}`),
    });
  }

  getName(): string {
    return "pubsub";
  }

  getInfo(): EmulatorInfo {
    const { host, port } = this.#address;
    return { name: this.getName(), host, port };
  }

  start(): Promise<void> {
    return this.#server.listen(this.#address.host, this.#address.port);
  }

  async connect(): Promise<void> {}

  stop(): Promise<void> {
    return this.#server.close();
  }

  /** Called by the Functions emulator for each function that a topic triggers. */
  async addTrigger(topic: string, triggerKey: string, signature: Signature): Promise<void> {
    this.#server.addTrigger(topic, triggerKey, signature);
  }
}
