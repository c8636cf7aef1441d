interface Stoppable {
  stop(): Promise<void>;
}

// Jest loads a project's set-up, its teardown and the runner separately; the global object is what all of them see.
const shared = globalThis as {
  startedByTests?: Map<string, Stoppable[]>;
  setUpsOfTests?: Map<string, Promise<void>>;
};
const started = (shared.startedByTests ??= new Map<string, Stoppable[]>());
const setUps = (shared.setUpsOfTests ??= new Map<string, Promise<void>>());

/** Runs the set-up of a Jest project in the background: the runner waits for it before the project's first test. */
export function setUpInBackground(project: string, setUp: () => Promise<void>): void {
  const done = setUp();
  done.catch(() => {}); // untilSetUp rejects with the error
  setUps.set(project, done);
}

/** Waits for a set-up in the background, if the project has one. */
export async function untilSetUp(project: string): Promise<void> {
  await setUps.get(project);
}

/** Remembers what the set-up of a Jest project has started. */
export function stopAtTeardown(project: string, what: Stoppable): void {
  started.set(project, [what, ...(started.get(project) ?? [])]);
}

/** Stops what the set-up has started, the last first. */
export async function stopStarted(project: string): Promise<void> {
  await untilSetUp(project).catch(() => {});
  for (const what of started.get(project) ?? []) await what.stop();
}
