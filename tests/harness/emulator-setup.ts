import { startTestEmulators } from "./start-test-emulators.ts";
import { setUpInBackground } from "./started.ts";

export default function setUp(): void {
  setUpInBackground("emulator", () => startTestEmulators("emulator", "extension"));
}
