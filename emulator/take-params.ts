/**
 * Loaded into the Firebase CLI before it runs. The CLI reads an extension's params once, when it starts; this lets
 * `FirebaseEmulators.configure` change them, as `firebase ext:configure` and a deployment would.
 */
import { FunctionsEmulator, functionsEmulator } from "./firebase-tools.ts";

/** How often the params have changed. */
let changes = 0;

process.on("message", (params: Record<string, string>) => {
  changes++;
  const { staticBackends, workerPools } = functionsEmulator();
  for (const backend of staticBackends) {
    if (backend.extensionInstanceId !== undefined) Object.assign(backend.env, params);
  }
  // An instance that is idle ends now, a busy one after its call; those that start from now on have the new params.
  for (const pool of Object.values(workerPools)) pool.refresh();
  process.send!("configured");
});
process.channel?.unref();

const { startRuntime } = FunctionsEmulator.prototype;

/** An instance that was being started when the params changed has the old ones: another is started instead. */
FunctionsEmulator.prototype.startRuntime = async function (...args) {
  for (;;) {
    const changesBefore = changes;
    const worker = await startRuntime.apply(this, args);
    if (changes === changesBefore) return worker;
    const isIdle = worker.state === "IDLE";
    worker.state = "FINISHING";
    if (isIdle) worker.runtime.process.kill();
  }
};
