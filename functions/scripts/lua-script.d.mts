/** A script as it is inlined; `restKeys` and `restArgs` name the KEYS and ARGV of a `[*]` line. */
export interface InlinedScript {
  readonly name: string;
  readonly source: string;
  readonly sha1: string;
  readonly keys: readonly string[];
  readonly restKeys: string | null;
  readonly args: readonly string[];
  readonly restArgs: string | null;
}

export function parseScript(name: string, source: string): InlinedScript;
