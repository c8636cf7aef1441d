/**
 * Makes sure that `findChromium` finds one: root has it installed by apt-get, others are told what to type.
 *
 * @param step wraps what takes long, so that the caller can report it
 * @throws Error that says how to install Chromium when there is none
 */
export function ensureChromium(
  step?: (what: string, work: () => Promise<unknown>) => Promise<unknown>,
): Promise<void>;

/**
 * The path of Chromium, or of Google's Chrome.
 *
 * @throws Error that says how to install Chromium when there is none
 */
export function findChromium(): Promise<string>;
