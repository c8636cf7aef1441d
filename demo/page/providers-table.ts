import type { ProviderRow } from "../console/messages.ts";
import { formatMs } from "../latency.ts";
import type { AppClient } from "./app-client.ts";
import { ask } from "./ask.ts";
import { element, make, setText } from "./elements.ts";
import { tell, whileDisabled } from "./journal.ts";
import type { Samples } from "./samples.ts";

/** The table of providers: their quotas as Firestore and Redis hold them, and what one can do to them. */
export class ProvidersTable {
  readonly #samples: Samples;
  readonly #rows = new Map<string, Row>();
  #client: AppClient | undefined;

  constructor(samples: Samples) {
    this.#samples = samples;
  }

  /** Lets the buttons work. */
  connect(client: AppClient): void {
    this.#client = client;
    for (const row of this.#rows.values()) row.enable(client);
  }

  show(providers: readonly ProviderRow[]): void {
    const known = providers.filter(({ name }) => name !== "");
    element("providers-empty", HTMLParagraphElement).hidden = known.length > 0;
    const body = element("provider-rows", HTMLTableSectionElement);
    body.closest("table")!.hidden = known.length === 0;
    for (const provider of known) {
      let row = this.#rows.get(provider.id);
      if (!row) {
        row = new Row(provider, this.#samples);
        this.#rows.set(provider.id, row);
        body.append(row.element);
        if (this.#client) row.enable(this.#client);
      }
      row.show(provider);
    }
  }
}

class Row {
  readonly element = make("tr");
  readonly #samples: Samples;
  readonly #bar = new QuotaBar();
  readonly #limit = make("input");
  readonly #save = make("button", { text: "Set" });
  readonly #call = make("button", { className: "soft", text: "AI call" });
  readonly #answer = make("p", { className: "answer" });
  #client: AppClient | undefined;
  #provider: ProviderRow;

  constructor(provider: ProviderRow, samples: Samples) {
    this.#provider = provider;
    this.#samples = samples;
    const { id, name } = provider;
    this.element.dataset["provider"] = id;

    this.#limit.type = "number";
    this.#limit.min = "0";
    this.#limit.max = "1000000";
    this.#limit.step = "1";
    this.#limit.required = true;
    this.#limit.disabled = true;
    this.#limit.inputMode = "numeric";
    this.#limit.setAttribute("aria-label", `Limit of ${name}`);
    this.#save.setAttribute("aria-label", `Set the limit of ${name} in Firestore`);
    this.#save.disabled = true;
    const form = make("form", { className: "limit" }, this.#limit, this.#save);
    form.noValidate = true; // the page says itself what is wrong
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void whileDisabled(this.#save, () => this.#orSayWhy(() => this.#setLimit()));
    });

    this.#call.type = "button";
    this.#call.disabled = true;
    this.#call.setAttribute("aria-label", `AI call of ${name}`);
    this.#call.addEventListener("click", () => {
      void whileDisabled(this.#call, () => this.#orSayWhy(() => this.#consume()));
    });

    const who = make("th", {}, make("span", { text: name }), make("small", { text: id }));
    who.scope = "row";
    this.element.append(
      who,
      make("td", { className: "quota" }, this.#bar.element),
      make("td", {}, form),
      make("td", {}, this.#call),
      make("td", { className: "last" }, this.#answer),
    );
  }

  enable(client: AppClient): void {
    this.#client = client;
    for (const control of [this.#limit, this.#save, this.#call]) control.disabled = false;
  }

  show(provider: ProviderRow): void {
    this.#provider = provider;
    this.#bar.show(provider);
    const { firestore } = provider;
    const isEdited = document.activeElement === this.#limit;
    if (firestore && !isEdited) this.#limit.value = String(firestore.limit);
  }

  async #consume(): Promise<void> {
    const { answer, ms } = await this.#client!.consumeQuota(this.#provider.id);
    const { allowed, used, limit, source } = answer;
    this.#samples.addOwnCall({ source, ms });
    const by = source === "redis" ? "Redis" : "Firestore";
    this.#say(
      `${allowed ? "Allowed" : "Refused: the limit is reached"}, ${used} of ${limit} used. By ${by}, ${formatMs(ms)}`,
      allowed,
    );
  }

  async #setLimit(): Promise<void> {
    const { value, validity } = this.#limit;
    this.#limit.setAttribute("aria-invalid", String(!validity.valid));
    if (!validity.valid) {
      this.#say("A limit is a whole number from 0 to 1,000,000.", false);
      this.#limit.focus();
      return;
    }
    const limit = Number(value);
    const answer = await ask("limit", { providerId: this.#provider.id, limit });
    switch (answer.outcome) {
      case "arrived":
        return this.#say(
          `Limit ${limit} is in Firestore, and in Redis ${formatMs(answer.lagMs)} after.`,
          true,
        );
      case "on-its-way":
        return this.#say(`Limit ${limit} is in Firestore, but not in Redis yet.`, false);
      case "unchanged":
        return this.#say(`The limit is ${limit} already.`, true);
    }
  }

  async #orSayWhy(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#say((error as Error).message, false);
    }
  }

  #say(text: string, isGood: boolean): void {
    this.#answer.dataset["tone"] = isGood ? "good" : "bad";
    setText(this.#answer, text);
    tell(`${this.#provider.name}: ${text}`, isGood ? "good" : "bad");
  }
}

/** What is used of a limit: what Firestore has counted, and after it what waits in Redis. */
class QuotaBar {
  readonly element = make("div", { className: "bar" });
  readonly #text = make("p");
  readonly #counted = make("span", { className: "counted" });
  readonly #pending = make("span", { className: "pending" });

  constructor() {
    const track = make("div", { className: "track" }, this.#counted, this.#pending);
    track.setAttribute("aria-hidden", "true"); // the text says it
    this.element.append(this.#text, track);
  }

  show({ firestore, redis }: ProviderRow): void {
    const known = redis ?? firestore;
    if (!known) return setText(this.#text, "Deleted");
    const { used, limit } = known;
    const pending = redis?.pending ?? 0;
    const share = (count: number): string =>
      `${limit === 0 ? 100 : Math.min(100, Math.max(0, (count / limit) * 100))}%`;
    this.#counted.style.width = share(used - pending);
    this.#pending.style.width = limit === 0 ? "0" : share(pending);
    this.element.dataset["full"] = String(used >= limit);
    const notes = [
      used >= limit ? "limit reached" : "",
      pending > 0 ? `${pending} only in Redis` : "",
      redis ? "" : "not in Redis",
      redis && firestore && redis.limit !== firestore.limit ? `limit ${firestore.limit} in Firestore` : "",
    ];
    const note = notes.filter(Boolean).join(", ");
    setText(this.#text, `${used} of ${limit}${note ? ` · ${note}` : ""}`);
  }
}
