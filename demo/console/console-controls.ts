import { toVersion } from "../../functions/dist/firestore.js";
import { formatValue, validationMessage } from "../../functions/dist/validation.js";
import { openServices } from "../in-process-services.ts";
import type { Stack } from "../stack.ts";
import type { Load } from "./load.ts";
import type { ConsoleState, Controls, QuotaMode } from "./messages.ts";
import { ControlError } from "./page-server.ts";
import { SHOWN_PROVIDER_IDS } from "./provider-rows.ts";
import type { RedisControl } from "./redis-control.ts";
import type { RedisEntries } from "./redis-entries.ts";
import type { SyncLog } from "./sync-log.ts";

const ARRIVAL_TIMEOUT_MS = 5_000;
const SYNC_TIMEOUT_MS = 30_000;
const MODES: readonly QuotaMode[] = ["firestore", "dual-write", "redis-primary"];
const MAX_LIMIT = 1_000_000;

interface Parts {
  readonly stack: Stack;
  readonly redis: RedisControl;
  readonly entries: RedisEntries;
  readonly syncLog: SyncLog;
  readonly load: Load;
  readonly changed: (change: Partial<ConsoleState>) => void;
}

type Ask<Name extends keyof Controls> = Controls[Name]["ask"];
type Answer<Name extends keyof Controls> = Promise<Controls[Name]["answer"]>;

/** Does what the page's buttons ask for. Every method throws ControlError where it is asked for what cannot be. */
export class ConsoleControls {
  readonly #parts: Parts;
  readonly #controls: { [Name in keyof Controls]: (ask: Partial<Ask<Name>>) => Answer<Name> } = {
    redis: (ask) => this.#switchRedis(ask),
    mode: (ask) => this.#switchMode(ask),
    load: (ask) => this.#switchLoad(ask),
    sync: () => this.#sync(),
    limit: (ask) => this.#setLimit(ask),
  };
  /** A control is done before the next begins: a server that is starting cannot be stopped. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** The answer to a control of the page; undefined if there is none of this name. */
  answer(name: string, ask: unknown): Promise<object> | undefined {
    if (!Object.hasOwn(this.#controls, name)) return undefined;
    const control = this.#controls[name as keyof Controls] as (ask: object) => Promise<object>;
    const done = this.#last.then(() => control(typeof ask === "object" && ask !== null ? ask : {}));
    this.#last = done.catch(() => {});
    return done;
  }

  async #switchRedis({ action }: Partial<Ask<"redis">>): Answer<"redis"> {
    const { redis } = this.#parts;
    const allowed = redis.state === "running" ? ["stop", "hang"] : ["start", "stop"];
    if (
      action === undefined ||
      !allowed.includes(action) ||
      (action === "stop" && redis.state === "stopped")
    ) {
      throw new ControlError(`action: got ${JSON.stringify(action)}; Redis is ${redis.state}.`);
    }
    switch (action) {
      case "stop": {
        const lostCalls = await this.#pendingCalls();
        await redis.stopServer();
        return { lostCalls };
      }
      case "hang":
        await redis.hangServer();
        return { lostCalls: 0 };
      case "start":
        await redis.startServer();
        return { lostCalls: 0 };
    }
  }

  /** Deploys the functions anew with the mode, and lets the load ask in it too. */
  async #switchMode({ mode }: Partial<Ask<"mode">>): Answer<"mode"> {
    if (mode === undefined || !MODES.includes(mode)) {
      throw new ControlError(validationMessage("mode", `one of ${MODES.join(", ")}`, formatValue(mode)));
    }
    const { stack, load, changed } = this.#parts;
    const startedAt = performance.now();
    await stack.emulators.configure({ MODE: mode });
    load.use(openServices(stack, mode));
    changed({ mode });
    return { tookMs: performance.now() - startedAt };
  }

  async #switchLoad({ on }: Partial<Ask<"load">>): Answer<"load"> {
    if (typeof on !== "boolean") {
      throw new ControlError(validationMessage("on", "true or false", formatValue(on)));
    }
    const { load, changed } = this.#parts;
    if (on) load.start();
    else load.stop();
    changed({ load: on });
    return {};
  }

  /** Runs syncQuotas once, as its schedule does, and waits for what it logs at its end. */
  async #sync(): Answer<"sync"> {
    const { stack, redis, syncLog } = this.#parts;
    if (redis.state !== "running") {
      throw new ControlError(`Redis is ${redis.state}: what it holds cannot be read. Start it first.`);
    }
    const end = syncLog.next(SYNC_TIMEOUT_MS);
    await stack.emulators.runSchedule("syncQuotas");
    const ended = await end;
    if (ended instanceof Error) throw ended;
    if (!ended) throw new Error(`syncQuotas has not ended within ${SYNC_TIMEOUT_MS / 1_000} s.`);
    return ended;
  }

  /**
   * Changes a limit in Firestore, with the Admin SDK: the stand-in Firestore speaks gRPC only, which a browser cannot.
   */
  async #setLimit({ providerId, limit }: Partial<Ask<"limit">>): Answer<"limit"> {
    if (providerId === undefined || !SHOWN_PROVIDER_IDS.includes(providerId)) {
      throw new ControlError(validationMessage("providerId", "one of the table's", formatValue(providerId)));
    }
    if (!Number.isInteger(limit) || limit! < 0 || limit! > MAX_LIMIT) {
      throw new ControlError(
        validationMessage("limit", `a whole number from 0 to ${MAX_LIMIT}`, formatValue(limit)),
      );
    }
    const { stack, redis, entries } = this.#parts;
    const document = stack.providers.doc(providerId);
    if ((await document.get()).get("aiCallsLimit") === limit) return { outcome: "unchanged" };
    const { writeTime } = await document.update({ aiCallsLimit: limit });
    if (redis.state !== "running") return { outcome: "on-its-way" };
    const lagMs = await entries.arrivalOf(providerId, toVersion(writeTime), ARRIVAL_TIMEOUT_MS);
    return lagMs === undefined ? { outcome: "on-its-way" } : { outcome: "arrived", lagMs };
  }

  /** What Redis has counted and Firestore lacks, of the table's providers: the load consumes nothing. */
  async #pendingCalls(): Promise<number> {
    const entries = await this.#parts.entries.read(SHOWN_PROVIDER_IDS);
    return entries.reduce((sum, entry) => sum + (entry ? entry.pending + entry.inFlight : 0), 0);
  }
}
