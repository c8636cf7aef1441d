/**
 * Loaded into the Firebase CLI before it runs. The CLI reads an extension's params once, when it starts; this lets
 * `FirebaseEmulators.configure` change them, as `firebase ext:configure` and a deployment would.
 */
import { functionsEmulator } from "./firebase-tools.ts";

process.on("message", (params: Record<string, string>) => {
  const { staticBackends, workerPools } = functionsEmulator();
  for (const backend of staticBackends) {
    if (backend.extensionInstanceId !== undefined) Object.assign(backend.env, params);
  }
  // An instance that is idle ends now, a busy one after its call; those that start from now on have the new params.
  for (const pool of Object.values(workerPools)) pool.refresh();
  process.send!("configured");
});
process.channel?.unref();
