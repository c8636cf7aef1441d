import { startGoogleFirestore, whyNoGoogleFirestore } from "../../emulator/google-firestore.ts";
import { GOOGLE_ADDRESS_VARIABLE } from "./google-firestore.ts";
import { stopAtTeardown } from "./started.ts";

/** Starts Google's Firestore emulator where it is installed; elsewhere its tests are skipped. */
export default async function setUp(): Promise<void> {
  const reason = whyNoGoogleFirestore();
  if (reason) {
    process.stderr.write(`Skipping the tests that need Google's Firestore emulator: ${reason}.\n`);
    return;
  }
  const google = await startGoogleFirestore();
  stopAtTeardown("google", google);
  process.env[GOOGLE_ADDRESS_VARIABLE] = google.address;
}
