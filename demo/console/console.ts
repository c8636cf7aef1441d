import { toVersion } from "../../functions/dist/firestore.js";
import { openServices } from "../in-process-services.ts";
import { quotasInFirestore } from "../quotas.ts";
import type { Report } from "../report.ts";
import type { CleanUp, Stack } from "../stack.ts";
import { appAddress } from "./app-address.ts";
import { ConsoleControls } from "./console-controls.ts";
import { Load } from "./load.ts";
import type { ConsoleState } from "./messages.ts";
import { PageServer, type Send } from "./page-server.ts";
import { ProviderRows, SHOWN_PROVIDER_IDS } from "./provider-rows.ts";
import { RedisControl } from "./redis-control.ts";
import { RedisEntries } from "./redis-entries.ts";
import { Sampler } from "./sampler.ts";
import { StepLog } from "./step-log.ts";
import { SyncLog } from "./sync-log.ts";

/** What the extension is installed with, if nothing else is said. */
const FIRST_MODE = "dual-write";
/** After about this time mirrorQuota no longer tries to reach a Redis that does not answer. */
const MIRROR_TIMEOUT_MS = 20_000;

/** The demo's page: gathers what it shows, and does what its buttons ask for. */
export class Console {
  readonly #cleanUp: CleanUp;
  readonly #steps: StepLog;
  readonly #sampler: Sampler;
  readonly #syncLog = new SyncLog((lastSync) => this.#change({ lastSync }));
  #server: PageServer | undefined;
  #rows: ProviderRows | undefined;
  #redis: RedisControl | undefined;
  #entries: RedisEntries | undefined;
  #controls: ConsoleControls | undefined;
  #state: ConsoleState;

  private constructor(stepTitles: readonly string[], cleanUp: CleanUp) {
    this.#cleanUp = cleanUp;
    this.#steps = new StepLog(stepTitles);
    this.#sampler = new Sampler((sample) => this.#send("sample", sample));
    cleanUp.add(() => this.#sampler.stop());
    const { steps } = this.#steps;
    this.#state = { phase: "starting", steps, redis: "starting", mode: FIRST_MODE, load: false };
  }

  /** Serves the page, which shows what the report tells until there is more to see. */
  static async open(stepTitles: readonly string[], report: Report, cleanUp: CleanUp): Promise<Console> {
    const opened = new Console(stepTitles, cleanUp);
    opened.#server = await PageServer.start(
      (name, ask) => opened.#controls?.answer(name, ask),
      (send) => opened.#greet(send),
    );
    cleanUp.add(() => opened.#server?.close());
    report.follow((entry) => {
      opened.#steps.add(entry);
      opened.#change({ steps: opened.#steps.steps });
    });
    return opened;
  }

  get url(): string {
    return this.#server!.url;
  }

  /** Reads a line that the functions print. */
  readonly readLog = (line: string): void => this.#syncLog.read(line);

  /** Shows Redis and the measurements from now on. */
  attach({ redisServer, redis, keys, providers }: Stack): void {
    const control = new RedisControl(redisServer, redis, (state) => this.#change({ redis: state }));
    const entries = new RedisEntries(redisServer.port, keys, {
      changed: (providerIds) => {
        if (SHOWN_PROVIDER_IDS.some((id) => providerIds.includes(id))) void this.#rows?.look();
      },
      arrived: ({ lagMs }) => this.#sampler.mirrored(lagMs),
    });
    const rows = new ProviderRows(providers, entries, (shown) => this.#send("providers", shown));
    this.#redis = control;
    this.#entries = entries;
    this.#rows = rows;
    this.#cleanUp.add(() => [control, entries, rows].forEach((part) => part.stop()));
    this.#change({ phase: "steps" });
  }

  /** Lets the controls work, and starts the load. */
  async handOver(stack: Stack): Promise<void> {
    this.#steps.end();
    const load = new Load(openServices(stack, FIRST_MODE), {
      providers: stack.providers,
      providerIds: [...(await quotasInFirestore(stack)).keys()],
      untilMirrored: ({ id, writeTime }) =>
        this.#entries!.arrivalOf(id, toVersion(writeTime), MIRROR_TIMEOUT_MS),
      failed: () => this.#sampler.failed(),
    });
    this.#cleanUp.add(() => load.close());
    this.#controls = new ConsoleControls({
      stack,
      redis: this.#redis!,
      entries: this.#entries!,
      syncLog: this.#syncLog,
      load,
      changed: (change) => this.#change(change),
    });
    load.start();
    const app = appAddress(stack);
    this.#change({ phase: "ready", steps: this.#steps.steps, load: true, app });
  }

  #greet(send: Send): void {
    send("state", this.#state);
    send("history", this.#sampler.history);
    send("providers", this.#rows?.rows ?? []);
  }

  #change(change: Partial<ConsoleState>): void {
    this.#state = { ...this.#state, ...change };
    this.#send("state", this.#state);
  }

  readonly #send: Send = (name, message) => this.#server?.send(name, message);
}
