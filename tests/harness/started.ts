interface Stoppable {
  stop(): Promise<void>;
}

// Jest loads a project's set-up and teardown separately; the global object is what both see.
const shared = globalThis as { startedByTests?: Map<string, Stoppable[]> };
const started = (shared.startedByTests ??= new Map<string, Stoppable[]>());

/** Remembers what the set-up of a Jest project has started. */
export function stopAtTeardown(project: string, what: Stoppable): void {
  started.set(project, [what, ...(started.get(project) ?? [])]);
}

/** Stops what the set-up has started, the last first. */
export async function stopStarted(project: string): Promise<void> {
  for (const what of started.get(project) ?? []) await what.stop();
}
