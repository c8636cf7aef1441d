import type * as httpsErrors from "../handlers/https-errors";

/**
 * The errors that a client of a callable may see. Loaded when one is first thrown: Firebase's own errors come with all
 * that it takes to declare functions, params among it.
 */
export function loadHttpsErrors(): typeof httpsErrors {
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- an import cannot be lazy and synchronous
  return require("../handlers/https-errors") as typeof httpsErrors;
}
