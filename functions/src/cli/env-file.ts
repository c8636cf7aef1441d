/**
 * An assignment in a .env file, by the grammar of the Firebase CLI (`lib/functions/env.js` of firebase-tools). A test
 * compares the two. `\s` includes the byte order mark.
 */
const ASSIGNMENT =
  /^\s*(?:export)?\s*([\w./]+)\s*=[\f\t\v]*(\s*'(?:\\'|[^'])*'|\s*"(?:\\"|[^"])*"|[^#\r\n]*)\s*(?:#[^\n]*)?$/dgm;

const ESCAPE_SEQUENCE = /\\[nrtv\\'"]/g;
const ESCAPED_CONTROLS: Readonly<Record<string, string>> = { n: "\n", r: "\r", t: "\t", v: "\v" };

/** What `firebase deploy` reads of a .env file. */
export interface EnvFile {
  readonly values: ReadonlyMap<string, string>;
  /** Lines that are neither part of an assignment nor comments, from 1. `firebase deploy` refuses a file with any. */
  readonly invalidLines: readonly number[];
}

export function parseEnvFile(text: string): EnvFile {
  // The Firebase CLI also replaces only the first line break, which matters within quotes.
  const data = text.replace(/\r\n?/, "\n");
  const assignments = Array.from(
    data.matchAll(ASSIGNMENT),
    ([, name, value]) => [name!, valueOf(value!)] as const,
  );
  const rest = data.replace(ASSIGNMENT, (assignment) => assignment.replace(/[^\r\n]/g, ""));
  const invalidLines = rest.split(/\r\n|\r|\n/).flatMap((line, i) => {
    const content = line.trim();
    return content === "" || content.startsWith("#") ? [] : [i + 1];
  });
  return { values: new Map(assignments), invalidLines };
}

function valueOf(assigned: string): string {
  const value = assigned.trim();
  const [, quote, quoted] = /^(["'])(.*)\1$/s.exec(value) ?? [];
  if (quoted === undefined) return value;
  return quote === "'"
    ? quoted
    : quoted.replace(ESCAPE_SEQUENCE, ([, escaped]) => ESCAPED_CONTROLS[escaped!] ?? escaped!);
}

/** Assigns values in the text of a .env file: to a name's last assignment, which counts, or in a new line. All else stays as it is. */
export function assignInEnvFile(text: string, values: Readonly<Record<string, string>>): string {
  let assigned = text;
  for (const [name, value] of Object.entries(values)) {
    const last = Array.from(assigned.matchAll(ASSIGNMENT)).findLast((match) => match[1] === name);
    if (last) {
      const [start, end] = last.indices![2]!;
      const old = last[2]!;
      const space = old.trim() === "" ? "" : /\s*$/.exec(old)![0];
      assigned = `${assigned.slice(0, start)}${value}${space}${assigned.slice(end)}`;
    } else {
      assigned += `${assigned === "" || assigned.endsWith("\n") ? "" : "\n"}${name}=${value}\n`;
    }
  }
  return assigned;
}

const RESERVED_PREFIX =
  /^(X_GOOGLE_|KIT_|FIREBASE_(?!SECRET_REF_.)|EXT_(?!MIGRATED_SYSTEM_.|SELECTED_EVENTS$))/;

const RESERVED_NAMES = [
  "FIREBASE_CONFIG",
  "CLOUD_RUNTIME_CONFIG",
  "EVENTARC_CLOUD_EVENT_SOURCE",
  "ENTRY_POINT",
  "GCP_PROJECT",
  "GCLOUD_PROJECT",
  "GOOGLE_CLOUD_PROJECT",
  "FUNCTION_TRIGGER_TYPE",
  "FUNCTION_NAME",
  "FUNCTION_MEMORY_MB",
  "FUNCTION_TIMEOUT_SEC",
  "FUNCTION_IDENTITY",
  "FUNCTION_REGION",
  "FUNCTION_TARGET",
  "FUNCTION_SIGNATURE_TYPE",
  "K_SERVICE",
  "K_REVISION",
  "K_CONFIGURATION",
  "PORT",
];

/** Whether `firebase deploy` takes a name in the .env file of functions; it refuses a file with any other. */
export function isDeployableName(name: string): boolean {
  return /^[A-Z_][A-Z0-9_]*$/.test(name) && !RESERVED_NAMES.includes(name) && !RESERVED_PREFIX.test(name);
}

/** The name that was probably meant: one that differs in case, or in at most two characters of many. */
export function findSimilarName(name: string, known: readonly string[]): string | undefined {
  const upper = name.toUpperCase();
  const [best] = known
    .map((each) => ({ each, edits: countEdits(upper, each) }))
    .filter(({ each, edits }) => edits <= (each.length < 8 ? 1 : 2))
    .sort((a, b) => a.edits - b.edits);
  return best?.each;
}

/** Levenshtein distance: characters to insert, delete or replace. */
function countEdits(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      current.push(Math.min(replaced, previous[j]! + 1, current[j - 1]! + 1));
    }
    previous = current;
  }
  return previous[b.length]!;
}
