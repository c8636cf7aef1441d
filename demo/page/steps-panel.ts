import type { ConsoleState, StepState } from "../console/messages.ts";
import { element, make, setText } from "./elements.ts";

const MARKS: Record<StepState["status"], string> = {
  waiting: "waits",
  running: "runs",
  done: "done",
  failed: "failed",
};

/** How far the demo has got, and what it has measured. */
export class StepsPanel {
  #shown = "";

  show({ phase, steps }: ConsoleState): void {
    const ended = steps.filter(({ status }) => status === "done" || status === "failed").length;
    const running = steps.find(({ status }) => status === "running");
    const results = steps.flatMap((step) => step.results).filter(({ holds }) => holds !== undefined);
    const held = results.filter(({ holds }) => holds).length;
    const panel = element("run", HTMLElement);
    panel.dataset["phase"] = phase;

    const title = element("run-title", HTMLHeadingElement);
    if (phase === "ready") {
      setText(title, `${steps.length} steps done, ${held} of ${results.length} expectations held`);
      setText(element("run-progress", HTMLParagraphElement), "Everything runs until Ctrl-C in the terminal.");
    } else {
      setText(title, running ? `Step ${ended + 1} of ${steps.length}: ${running.title}` : "The demo starts");
      const progress = running?.progress || "The controls work when the steps are over: they measure.";
      setText(element("run-progress", HTMLParagraphElement), progress);
    }
    const bar = element("run-bar", HTMLProgressElement);
    bar.max = steps.length;
    bar.value = ended;
    bar.hidden = phase === "ready";
    this.#list(steps);
  }

  #list(steps: readonly StepState[]): void {
    const content = JSON.stringify(steps.map(({ status, results }) => [status, results]));
    if (content === this.#shown) return;
    this.#shown = content;
    element("run-steps", HTMLOListElement).replaceChildren(...steps.map(toItem));
  }
}

function toItem({ title, status, results }: StepState): HTMLLIElement {
  const head = make(
    "p",
    {},
    make("strong", { text: title }),
    make("span", { className: "muted", text: MARKS[status] }),
  );
  const item = make("li", {}, head);
  item.dataset["status"] = status;
  const list = make("dl");
  for (const { what, measured, holds } of results) {
    const value =
      holds === false
        ? make("dd", { className: "failed", text: `${measured} (not as expected)` })
        : make("dd", { text: measured });
    list.append(make("div", {}, make("dt", { text: what }), value));
  }
  if (results.length > 0) item.append(list);
  return item;
}
