/** Where the set-up leaves the address of Google's emulator, `host:port`; it is absent where that is not installed. */
export const GOOGLE_ADDRESS_VARIABLE = "FRQ_TEST_GOOGLE_FIRESTORE";

/** The address of Google's emulator, for a test that is skipped where there is none. */
export function googleAddress(): string {
  return process.env[GOOGLE_ADDRESS_VARIABLE] ?? "";
}
