import type { SyncEnd } from "../console/messages.ts";
import { formatMs } from "../latency.ts";
import type { Status } from "../../functions/dist/handlers/get-status.js";
import type { AppClient } from "./app-client.ts";
import { ask } from "./ask.ts";
import { element, setText } from "./elements.ts";
import { tell, whileDisabled } from "./journal.ts";

const ASK_EVERY_MS = 3_000;

/** What Firestore lacks, what the last sync did, and how Redis is, as an administrator is told. */
export class SyncPanel {
  readonly #button = element("sync", HTMLButtonElement);
  #client: AppClient | undefined;
  #asking: Promise<void> = Promise.resolve();
  #isPaused = false;

  constructor() {
    this.#button.addEventListener("click", () => void whileDisabled(this.#button, () => this.#sync()));
  }

  /** Asks from now on, every three seconds while the page is seen. */
  connect(client: AppClient): void {
    this.#client = client;
    this.#button.disabled = false;
    void this.#keepAsking();
  }

  showLastSync({ atMs, flushed, failed, complete, compared, drifted }: SyncEnd): void {
    const at = new Date(atMs).toLocaleTimeString("en-GB");
    const outcome = `${providers(flushed)}${failed > 0 ? `, ${failed} failed` : ""}`;
    setFact("sync-last", `${at}, ${outcome}${complete ? "" : ", not finished"}`);
    setFact("sync-drift", `${drifted} of ${compared} entries`);
  }

  async #keepAsking(): Promise<void> {
    for (;;) {
      if (!document.hidden && !this.#isPaused) await this.#ask();
      await new Promise((resolve) => setTimeout(resolve, ASK_EVERY_MS));
    }
  }

  /** Lets the functions be started anew without asking them meanwhile: the emulator ends those that just began. */
  async pauseWhile<T>(work: () => Promise<T>): Promise<T> {
    this.#isPaused = true;
    try {
      await this.#asking;
      return await work();
    } finally {
      this.#isPaused = false;
    }
  }

  #ask(): Promise<void> {
    return (this.#asking = this.#client!.getStatus().then(
      ({ answer }) => showStatus(answer),
      (error: Error) => setFact("sync-pending", `getStatus gave no answer: ${error.message}`),
    ));
  }

  async #sync(): Promise<void> {
    const { flushed, failed, compared, drifted } = await ask("sync", {});
    tell(
      `Sync: ${providers(flushed)} brought over to Firestore, ${failed} failed; ${drifted} of ${compared} entries had drifted.`,
      failed > 0 ? "bad" : "good",
    );
    await this.#ask();
  }
}

function showStatus({ unsynced, redis }: Status): void {
  setFact("sync-pending", unsynced ? providers(unsynced.pendingProviders) : "not known without Redis");
  setFact(
    "sync-oldest",
    unsynced && unsynced.pendingProviders > 0 ? formatMs(unsynced.oldestPendingMs) : "–",
  );
  if (!redis.reachable) {
    setFact("status-redis", "no answer");
    setFact("status-memory", "–");
    return;
  }
  setFact("status-redis", `${redis.version}, PING ${formatMs(redis.latencyMs)}`);
  setFact(
    "status-memory",
    `${(redis.usedMemoryBytes / 1e6).toFixed(1)} MB, ${redis.connectedClients} clients`,
  );
}

function setFact(id: string, text: string): void {
  setText(element(id, HTMLElement), text);
}

function providers(count: number): string {
  return `${count} ${count === 1 ? "provider" : "providers"}`;
}
