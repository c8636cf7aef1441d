import { element, make } from "./elements.ts";

export type Tone = "good" | "bad" | "quiet";

const KEPT_ENTRIES = 40;

/** Says what has happened, the newest first; screen readers are told too. */
export function tell(text: string, tone: Tone = "quiet"): void {
  const time = make("time", { text: new Date().toLocaleTimeString("en-GB") });
  const entry = make("li", {}, time, make("span", { text }));
  entry.dataset["tone"] = tone;
  const journal = element("journal", HTMLOListElement);
  journal.prepend(entry);
  while (journal.children.length > KEPT_ENTRIES) journal.lastElementChild!.remove();
  element("journal-empty", HTMLParagraphElement).hidden = true;
}

/** Does what a button asks for, while it can be pressed no more, and says why if that fails. */
export async function whileDisabled(button: HTMLButtonElement, work: () => Promise<void>): Promise<void> {
  const hadFocus = document.activeElement === button;
  button.setAttribute("aria-busy", "true");
  button.disabled = true;
  try {
    await work();
  } catch (error) {
    tell((error as Error).message, "bad");
  } finally {
    button.removeAttribute("aria-busy");
    button.disabled = false;
    if (hadFocus && document.activeElement === document.body) button.focus();
  }
}
