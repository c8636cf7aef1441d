import type { ReportEntry } from "../report.ts";
import type { StepState } from "./messages.ts";

/** What has become of the demo's steps, as its report tells it. */
export class StepLog {
  readonly #steps: StepState[];
  #current = -1;

  constructor(titles: readonly string[]) {
    this.#steps = titles.map((title) => ({ title, status: "waiting", progress: "", results: [] }));
  }

  get steps(): readonly StepState[] {
    return this.#steps;
  }

  add(entry: ReportEntry): void {
    if (entry.kind === "section") {
      this.end();
      const next = this.#steps.findIndex(({ title }) => title === entry.title);
      if (next === -1) return;
      this.#current = next;
      this.#change({ status: "running" });
    } else if (entry.kind === "progress") {
      this.#change({ progress: entry.text });
    } else {
      const { what, measured, holds } = entry;
      const result = { what, measured, ...(holds !== undefined && { holds }) };
      this.#change({ results: [...(this.#steps[this.#current]?.results ?? []), result] });
    }
  }

  /** Ends the step that runs, if one does. */
  end(): void {
    const step = this.#steps[this.#current];
    if (!step) return;
    const hasFailed = step.results.some(({ holds }) => holds === false);
    this.#change({ status: hasFailed ? "failed" : "done", progress: "" });
    this.#current = -1;
  }

  #change(change: Partial<StepState>): void {
    const step = this.#steps[this.#current];
    if (step) this.#steps[this.#current] = { ...step, ...change };
  }
}
