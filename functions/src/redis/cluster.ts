import { setTimeout as sleep } from "node:timers/promises";

import type { Redis } from "ioredis";

import { withDeadline } from "../deadline";
import type { Logs } from "../observability/logs";
import {
  addressOf,
  CLOSED,
  RedisConnection,
  RedisUnavailableError,
  type RedisConnectionOptions,
} from "./connection";
import { Credentials, type AccessSource } from "./credentials";
import { slotOf } from "./keys";
import type { RedisServers } from "./redis-servers";
import { secretReader, type ReadSecrets } from "./secret-manager";
import { redirectionOf, SlotMap } from "./slot-map";

/** A command is sent on so often at most, as servers reply that another has the key. */
const MAX_REDIRECTIONS = 3;

/** Keys of one slot are on two servers while it is moved; after this time the server is asked again. */
const TRY_AGAIN_MS = 20;

/** Servers are asked who has which keys at most so often, once that is known. */
const DISCOVERY_INTERVAL_MS = 500;

/**
 * A Redis Cluster: a connection to each master that is asked for something, each with a circuit of its own, so that one
 * dead master concerns nobody but those who ask for its keys. A server is asked which master has which keys when nothing
 * is known, and when a master fails or sends on.
 *
 * ioredis's own Cluster is not used: it queues commands while a node is being connected, and sends them when their
 * askers have gone; and its errors do not tell a command that was never sent from one that may have been executed.
 */
export class RedisCluster implements RedisServers {
  readonly isCluster = true;
  readonly address: string;
  private readonly credentials: Credentials;
  private readonly nodes = new Map<string, RedisConnection>();
  private isClosed = false;
  private slots = new SlotMap();
  /** The connection to the configured address, which is there until a server has told the others' addresses. */
  private entrance: RedisConnection | undefined;
  private discovering: Promise<void> | undefined;
  private discoveredMs = -Infinity;

  constructor(
    private readonly options: RedisConnectionOptions,
    private readonly logs: Logs,
    private readonly readSecrets: ReadSecrets = secretReader(),
  ) {
    this.address = addressOf(options);
    this.credentials = new Credentials(options, readSecrets);
  }

  async runFor<T>(key: string, command: (redis: Redis) => Promise<T>, startedMs?: number): Promise<T> {
    const beganMs = startedMs ?? performance.now();
    const slot = slotOf(key);
    const slots = this.slots;
    let address = slots.addressOf(slot);
    let continuedMs = startedMs;
    if (address === undefined) {
      address = await this.findAddressOf(slot, beganMs);
      continuedMs = beganMs;
    }
    let send = command;
    for (let redirections = 0; ; redirections++) {
      const node = this.nodeAt(address);
      try {
        return await node.run(send, continuedMs);
      } catch (error) {
        if (!(error instanceof RedisUnavailableError)) throw error;
        const redirection = redirectionOf(error.cause, address);
        if (redirection === undefined || redirections === MAX_REDIRECTIONS) {
          if (slots === this.slots && !isAnswer(error.cause)) this.discoverLater(node);
          throw error;
        }
        if (redirection.kind === "try-again") await sleep(TRY_AGAIN_MS);
        if (this.timeLeftMs(beganMs) <= 0) throw error;
        continuedMs = beganMs;
        if (redirection.kind === "try-again") continue;
        address = redirection.address;
        send = redirection.kind === "ask" ? asking(command) : command;
        if (redirection.kind === "moved") {
          this.slots.move(slot, address);
          this.discoverLater();
        }
      }
    }
  }

  async masters(): Promise<readonly RedisConnection[]> {
    if (this.isDiscoveryDue) {
      // Without an answer, those that are known are asked: what is wrong with them shows then.
      await this.discoverWithin(performance.now()).catch((error: unknown) => {
        if (this.slots.isEmpty) throw error;
      });
    }
    return this.slots.addresses().map((address) => this.nodeAt(address));
  }

  close(): void {
    this.isClosed = true;
    for (const node of [...this.nodes.values(), this.entrance]) node?.close();
    this.nodes.clear();
    this.entrance = undefined;
    this.slots = new SlotMap();
    this.discovering = undefined;
  }

  private get isDiscoveryDue(): boolean {
    return this.slots.isEmpty || performance.now() - this.discoveredMs >= DISCOVERY_INTERVAL_MS;
  }

  private timeLeftMs(beganMs: number): number {
    return this.options.timeoutMs - (performance.now() - beganMs);
  }

  private async findAddressOf(slot: number, beganMs: number): Promise<string> {
    if (this.isDiscoveryDue) await this.discoverWithin(beganMs);
    const address = this.slots.addressOf(slot);
    if (address === undefined) throw this.unavailable(new Error(`no server has slot ${slot}`));
    return address;
  }

  private nodeAt(address: string): RedisConnection {
    let node = this.nodes.get(address);
    if (node === undefined) {
      const colon = address.lastIndexOf(":");
      const host = address.slice(0, colon);
      const port = Number(address.slice(colon + 1));
      const options = { ...this.options, host, port, clusterAddress: this.address };
      this.nodes.set(address, (node = this.connect(options, this.credentials.ofNode(host, port))));
    }
    return node;
  }

  private async discoverWithin(beganMs: number): Promise<void> {
    const noReply = `no reply within ${this.options.timeoutMs} ms (REDIS_TIMEOUT_MS)`;
    try {
      await withDeadline(this.discover(), this.timeLeftMs(beganMs), noReply);
    } catch (error) {
      throw this.unavailable(error instanceof RedisUnavailableError ? error.cause : (error as Error));
    }
  }

  /** Has others asked, whom nobody waits for, who has the keys of a server that has failed. */
  private discoverLater(failed?: RedisConnection): void {
    if (this.isDiscoveryDue) this.discover(failed).catch(() => {});
  }

  private discover(failed?: RedisConnection): Promise<void> {
    if (this.discovering !== undefined) return this.discovering;
    this.discoveredMs = performance.now();
    const discovering = this.askForSlots(failed).finally(() => {
      if (this.discovering === discovering) this.discovering = undefined;
    });
    return (this.discovering = discovering);
  }

  private async askForSlots(failed: RedisConnection | undefined): Promise<void> {
    const before = this.slots;
    const others = [...this.nodes].filter(([, node]) => node !== failed);
    for (const [address, node] of others.sort(() => Math.random() - 0.5)) {
      try {
        const slots = await node.run(async (redis) => SlotMap.parse(await redis.cluster("SLOTS"), address));
        if (before === this.slots) this.adopt(slots);
        return;
      } catch (error) {
        if (before !== this.slots) return;
        if (!(error instanceof RedisUnavailableError)) throw error;
      }
    }
    // What the configured address leads to may have changed, and secrets too.
    const entrance = (this.entrance ??= this.connect(this.options, this.credentials));
    const slots = await entrance.run(async (redis) => {
      const { host, port } = await this.credentials.current();
      return SlotMap.parse(await redis.cluster("SLOTS"), `${host}:${port}`);
    });
    if (before === this.slots) this.adopt(slots);
  }

  private adopt(slots: SlotMap): void {
    if (slots.isEmpty) throw this.unavailable(new Error("no server has slots"));
    this.slots = slots;
    this.entrance?.close();
    this.entrance = undefined;
    const addresses = new Set(slots.addresses());
    for (const [address, node] of this.nodes) {
      if (addresses.has(address)) continue;
      this.nodes.delete(address);
      // What was sent there is answered first.
      setTimeout(() => node.close(), 2 * this.options.timeoutMs).unref();
    }
  }

  private connect(options: RedisConnectionOptions, access: AccessSource): RedisConnection {
    if (this.isClosed) throw this.unavailable(new Error(CLOSED));
    return new RedisConnection(options, this.logs, this.readSecrets, access);
  }

  private unavailable(cause: Error): RedisUnavailableError {
    return new RedisUnavailableError(this.address, "not-executed", cause);
  }
}

/** Whether a server has the key, and replied with an error that others would reply with too. */
function isAnswer({ name, message }: Error): boolean {
  return name === "ReplyError" && !/^(CLUSTERDOWN|MOVED|ASK)\b/.test(message);
}

/** A command for the server that a slot is being moved to. */
function asking<T>(command: (redis: Redis) => Promise<T>): (redis: Redis) => Promise<T> {
  return (redis) => {
    redis.asking().catch(() => {});
    return command(redis);
  };
}
