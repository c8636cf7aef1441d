import type { Redis } from "ioredis";
import type { RedisServer } from "../../scripts/redis-server.mjs";
import type { RedisState } from "./messages.ts";

const LOOK_EVERY_MS = 250;
/** The server is on this machine: later than this, it does not answer. */
const PING_TIMEOUT_MS = 200;

/** Stops, hangs and starts the demo's Redis server, and sees for itself how it is: the steps of the demo stop it too. */
export class RedisControl {
  readonly #server: RedisServer;
  readonly #client: Redis;
  readonly #tell: (state: RedisState) => void;
  readonly #timer: NodeJS.Timeout;
  #state: RedisState = "starting";

  constructor(server: RedisServer, client: Redis, tell: (state: RedisState) => void) {
    this.#server = server;
    this.#client = client;
    this.#tell = tell;
    this.#timer = setInterval(() => void this.look(), LOOK_EVERY_MS);
  }

  get state(): RedisState {
    return this.#state;
  }

  /** Ends the process, as a crash does: its data is gone. */
  async stopServer(): Promise<void> {
    await this.#server.kill("SIGKILL");
    await this.#until("stopped");
  }

  /** Suspends the process: connections stay open and nothing is answered. */
  async hangServer(): Promise<void> {
    await this.#server.kill("SIGSTOP");
    await this.#until("hung");
  }

  /** Resumes a process that hangs; starts one that has ended, empty. */
  async startServer(): Promise<void> {
    if (this.#state === "hung") await this.#server.kill("SIGCONT");
    else await this.#server.restart();
    await this.#until("running");
  }

  /** Looks how the server is, and tells if that has changed. */
  async look(): Promise<void> {
    const state = await this.#observe();
    if (state === this.#state) return;
    this.#state = state;
    this.#tell(state);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  async #observe(): Promise<RedisState> {
    if (this.#client.status !== "ready") return "stopped";
    const late = Symbol();
    const timer = Promise.withResolvers<typeof late>();
    const timeout = setTimeout(() => timer.resolve(late), PING_TIMEOUT_MS);
    const ping = this.#client.ping().catch(() => undefined);
    const answer = await Promise.race([ping, timer.promise]);
    clearTimeout(timeout);
    if (answer === late) return "hung";
    return answer === undefined ? "stopped" : "running";
  }

  async #until(wanted: RedisState): Promise<void> {
    const deadline = performance.now() + 10_000;
    for (;;) {
      await this.look();
      if (this.#state === wanted) return;
      if (performance.now() > deadline)
        throw new Error(`Redis is ${this.#state} and not ${wanted} after 10 s.`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}
