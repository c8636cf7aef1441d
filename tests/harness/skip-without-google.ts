import { googleAddress } from "./google-firestore.ts";

// Jest reports these tests as skipped and runs none of their hooks; the set-up has printed the reason.
if (!googleAddress()) Object.assign(globalThis, { test: test.skip, describe: describe.skip });
