import type * as https from "firebase-functions/v2/https";

/**
 * Firebase's module of HTTP functions, as the app itself has it. Loaded when an error of it is first thrown: it comes
 * with all that it takes to declare functions, params among it.
 */
export type LoadHttps = () => Promise<Pick<typeof https, "HttpsError">>;

/** For apps that `require` firebase-functions. */
export const requireHttps: LoadHttps = async () =>
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- an import would be loaded at once
  require("firebase-functions/v2/https") as typeof https;
