import type { ConsoleState, Controls, QuotaMode, RedisState } from "../console/messages.ts";
import { formatMs } from "../latency.ts";
import type { AppClient } from "./app-client.ts";
import { ask } from "./ask.ts";
import { element, setText } from "./elements.ts";
import { tell, whileDisabled } from "./journal.ts";
import type { SyncPanel } from "./sync-panel.ts";

const REDIS_TEXTS: Record<RedisState, string> = {
  starting: "It starts with the demo.",
  running:
    "Stop kills the server, and its data is lost. Hang suspends it: it takes connections and never answers.",
  hung: "Suspended: connections stay open and nothing answers. Start lets it go on, with its data.",
  stopped: "Killed. Firestore answers the quotas, and each policy says who decides. Start starts it empty.",
};

const REDIS_TONES: Record<RedisState, string> = {
  starting: "quiet",
  running: "good",
  hung: "bad",
  stopped: "bad",
};

const MODE_TEXTS: Record<QuotaMode, string> = {
  firestore: "Firestore alone decides and answers; callers leave Redis alone.",
  "dual-write": "Firestore decides, and Redis is told at once. Checks are answered by Redis.",
  "redis-primary": "Redis decides and answers. A sync brings the usage to Firestore.",
};

const MODE_TIMEOUT_MS = 30_000;

/** The buttons for Redis, the mode and the load. */
export class ControlBar {
  readonly #redisButtons = {
    stop: element("redis-stop", HTMLButtonElement),
    hang: element("redis-hang", HTMLButtonElement),
    start: element("redis-start", HTMLButtonElement),
  };
  readonly #modeButtons = [...document.querySelectorAll<HTMLButtonElement>("#modes button")];
  readonly #load = element("load", HTMLButtonElement);
  readonly #sync: SyncPanel;
  #client: AppClient | undefined;
  #state: ConsoleState | undefined;
  #isBusy = false;

  constructor(sync: SyncPanel) {
    this.#sync = sync;
    for (const [action, button] of Object.entries(this.#redisButtons)) {
      button.addEventListener("click", () => {
        void this.#do(button, () => this.#switchRedis(action as Controls["redis"]["ask"]["action"]));
      });
    }
    for (const button of this.#modeButtons) {
      button.addEventListener("click", () => {
        void this.#do(button, () => this.#switchMode(button.dataset["mode"] as QuotaMode));
      });
    }
    this.#load.addEventListener("click", () => {
      void this.#do(this.#load, async () => {
        const on = !this.#state!.load;
        await ask("load", { on });
        tell(on ? "The load runs." : "The load is off.");
      });
    });
  }

  connect(client: AppClient): void {
    this.#client = client;
    this.#enable();
  }

  show(state: ConsoleState): void {
    this.#state = state;
    const { redis, mode, load } = state;
    const chip = element("redis-state", HTMLParagraphElement);
    setText(chip, redis === "hung" ? "not answering" : redis);
    chip.dataset["tone"] = REDIS_TONES[redis];
    setText(element("redis-text", HTMLParagraphElement), REDIS_TEXTS[redis]);
    for (const button of this.#modeButtons) {
      button.setAttribute("aria-pressed", String(button.dataset["mode"] === mode));
    }
    if (!this.#isBusy) setText(element("mode-text", HTMLParagraphElement), MODE_TEXTS[mode]);
    this.#load.setAttribute("aria-pressed", String(load));
    setText(this.#load, load ? "On" : "Off");
    this.#enable();
  }

  #enable(): void {
    const redis = this.#state?.redis;
    const isReady = this.#client !== undefined && !this.#isBusy;
    const { stop, hang, start } = this.#redisButtons;
    stop.disabled = !isReady || (redis !== "running" && redis !== "hung");
    hang.disabled = !isReady || redis !== "running";
    start.disabled = !isReady || (redis !== "stopped" && redis !== "hung");
    for (const button of [...this.#modeButtons, this.#load]) button.disabled = !isReady;
  }

  /** One at a time: while one is under way the others wait. */
  async #do(button: HTMLButtonElement, work: () => Promise<void>): Promise<void> {
    this.#isBusy = true;
    this.#enable();
    await whileDisabled(button, work);
    this.#isBusy = false;
    this.show(this.#state!);
    if (document.activeElement === document.body) (button.disabled ? this.#nextTo(button) : button)?.focus();
  }

  /** The keyboard's focus stays in the group when its button cannot be pressed any more. */
  #nextTo(button: HTMLButtonElement): HTMLButtonElement | null {
    return button.parentElement!.querySelector<HTMLButtonElement>("button:enabled");
  }

  async #switchRedis(action: Controls["redis"]["ask"]["action"]): Promise<void> {
    const { lostCalls } = await ask("redis", { action });
    const done = {
      stop: "Redis is stopped.",
      hang: "Redis does not answer any more.",
      start: "Redis runs again.",
    };
    const lost = lostCalls > 0 ? ` ${lostCalls} AI calls that Firestore lacked are lost with it.` : "";
    tell(done[action] + lost, action === "start" ? "good" : "bad");
  }

  async #switchMode(mode: QuotaMode): Promise<void> {
    const text = element("mode-text", HTMLParagraphElement);
    setText(text, `The functions start anew with MODE ${mode}.`);
    const startedAt = performance.now();
    await this.#sync.pauseWhile(() => ask("mode", { mode }));
    for (;;) {
      const { answer } = await this.#client!.getStatus();
      if (answer.mode === mode) break;
      if (performance.now() - startedAt > MODE_TIMEOUT_MS) {
        throw new Error(`getStatus still answers from mode ${answer.mode}.`);
      }
    }
    tell(
      `Mode ${mode}: the functions answer from it, after ${formatMs(performance.now() - startedAt)}.`,
      "good",
    );
  }
}
