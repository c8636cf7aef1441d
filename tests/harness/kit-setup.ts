import { startTestEmulators } from "./start-test-emulators.ts";
import { setUpInBackground, untilSetUp } from "./started.ts";

/** Starts these emulators after those of the extension, whose tests come first. */
export default function setUp(): void {
  setUpInBackground("emulator-kit", async () => {
    await untilSetUp("emulator").catch(() => {});
    await startTestEmulators("emulator-kit", "kit");
  });
}
