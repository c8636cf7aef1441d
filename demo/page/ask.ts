import type { Controls } from "../console/messages.ts";

/**
 * Asks the demo's server to do something that the page itself cannot.
 *
 * @throws Error whose message says why it was not done
 */
export async function ask<Name extends keyof Controls>(
  name: Name,
  what: Controls[Name]["ask"],
): Promise<Controls[Name]["answer"]> {
  const response = await fetch(`/controls/${name}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(what),
  }).catch(() => undefined);
  if (!response) throw new Error("The demo does not answer. Has it been ended?");
  const answer = (await response.json()) as Controls[Name]["answer"] & { error?: string };
  if (answer.error !== undefined) throw new Error(answer.error);
  return answer;
}
