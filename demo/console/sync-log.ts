import { setTimeout as sleep } from "node:timers/promises";
import type { SyncEnd } from "./messages.ts";

type Synced = Omit<SyncEnd, "atMs" | "compared" | "drifted">;
type Reconciled = Pick<SyncEnd, "compared" | "drifted">;

/** What the stand-in Pub/Sub prints when a scheduled function has failed. */
const FAILED = "Delivery failed";

/** Reads what syncQuotas logs at its end, as an operator would, from what the functions print. */
export class SyncLog {
  readonly #tell: (end: SyncEnd) => void;
  readonly #waiting = new Set<(end: SyncEnd | Error) => void>();
  #synced: Synced | undefined;
  /** The first that was printed since somebody waits. */
  #error: string | undefined;

  constructor(tell: (end: SyncEnd) => void) {
    this.#tell = tell;
  }

  /** Reads a line; most are something else. */
  readonly read = (line: string): void => {
    this.#error ??= /\w*Error: .*/.exec(line)?.[0];
    if (line.includes(FAILED) && line.includes("-syncQuotas")) {
      this.#settle(new Error(`syncQuotas failed: ${this.#error ?? line}`));
    }
    const synced = entry<Synced>(line, "quotas_synced");
    if (synced) this.#synced = synced;
    const reconciled = entry<Reconciled>(line, "quotas_reconciled");
    if (!reconciled || !this.#synced) return;
    const { flushed, failed, complete } = this.#synced;
    const { compared, drifted } = reconciled;
    this.#synced = undefined;
    const end = { atMs: Date.now(), flushed, failed, complete, compared, drifted };
    this.#tell(end);
    this.#settle(end);
  };

  /** The end of the next sync, or why it failed; undefined if none has ended in time. */
  async next(timeoutMs: number): Promise<SyncEnd | Error | undefined> {
    const timer = new AbortController();
    const late = sleep(timeoutMs, undefined, { signal: timer.signal }).catch(() => undefined);
    const { promise, resolve } = Promise.withResolvers<SyncEnd | Error>();
    this.#error = undefined;
    this.#waiting.add(resolve);
    const end = await Promise.race([promise, late]);
    this.#waiting.delete(resolve);
    timer.abort();
    return end;
  }

  #settle(end: SyncEnd | Error): void {
    for (const resolve of this.#waiting) resolve(end);
    this.#waiting.clear();
  }
}

function entry<Fields>(line: string, event: string): Fields | undefined {
  if (!line.includes(`"${event}"`)) return undefined;
  return JSON.parse(line.slice(line.indexOf("{"))) as Fields;
}
