import { startTestEmulators } from "./start-test-emulators.ts";

export default async function setUp(): Promise<void> {
  await startTestEmulators("emulator", "extension");
}
