import type { DocumentChange } from "./change-log.ts";
import { parseDatabaseName } from "./resource-names.ts";

type ChangeKind = "create" | "update" | "delete";

/** A function's interest in documents, as the Functions emulator registers it. */
export interface Trigger {
  /** Where events go: the function's key in the Functions emulator. */
  readonly key: string;
  readonly generation: 1 | 2;
  readonly project: string;
  readonly database: string;
  /** As registered, and as events carry it. */
  readonly eventType: string;
  readonly kinds: readonly ChangeKind[];
  readonly matches: (documentPath: string) => boolean;
}

/** A registration that cannot be understood; the message says what is wrong with it. */
export class InvalidTrigger extends Error {}

const ALL_KINDS: readonly ChangeKind[] = ["create", "update", "delete"];

const KINDS_BY_EVENT: Record<string, readonly ChangeKind[]> = {
  "providers/cloud.firestore/eventTypes/document.write": ALL_KINDS,
  "providers/cloud.firestore/eventTypes/document.create": ["create"],
  "providers/cloud.firestore/eventTypes/document.update": ["update"],
  "providers/cloud.firestore/eventTypes/document.delete": ["delete"],
  "google.cloud.firestore.document.v1.written": ALL_KINDS,
  "google.cloud.firestore.document.v1.created": ["create"],
  "google.cloud.firestore.document.v1.updated": ["update"],
  "google.cloud.firestore.document.v1.deleted": ["delete"],
};

/** Reads a gen-1 registration, `{ eventTrigger: { eventType, resource } }`. */
export function parseFirstGenTrigger(key: string, body: unknown): Trigger {
  const { eventTrigger } = body as { eventTrigger?: { eventType?: unknown; resource?: unknown } };
  const [, databaseName, pattern] =
    /^(projects\/[^/]+\/databases\/[^/]+)\/documents(?:@[^/]*)?\/(.+)$/.exec(
      String(eventTrigger?.resource),
    ) ?? [];
  if (!databaseName || !pattern) {
    throw new InvalidTrigger(
      `eventTrigger.resource must be projects/*/databases/*/documents/*, not "${String(eventTrigger?.resource)}".`,
    );
  }
  const eventType = String(eventTrigger?.eventType);
  return {
    key,
    generation: 1,
    ...parseDatabaseName(databaseName),
    eventType,
    kinds: kindsOf("eventTrigger.eventType", eventType),
    matches: pathPattern(pattern),
  };
}

/** Reads a gen-2 registration, `{ eventType, database, namespace, document: { value, matchType } }`. */
export function parseSecondGenTrigger(project: string, key: string, body: unknown): Trigger {
  const { eventType, database, document } = body as {
    eventType?: unknown;
    database?: unknown;
    document?: { value?: unknown; matchType?: unknown };
  };
  if (typeof database !== "string" || !database) throw new InvalidTrigger("database must be given.");
  const value = document?.value;
  if (typeof value !== "string" || !value) throw new InvalidTrigger("document.value must be given.");
  return {
    key,
    generation: 2,
    project,
    database,
    eventType: String(eventType),
    kinds: kindsOf("eventType", String(eventType)),
    matches: document?.matchType === "EXACT" ? (path) => path === value : pathPattern(value),
  };
}

export function isTriggeredBy(trigger: Trigger, { path, before, after }: DocumentChange): boolean {
  const kind: ChangeKind = !before ? "create" : after ? "update" : "delete";
  return trigger.kinds.includes(kind) && trigger.matches(path);
}

function kindsOf(field: string, eventType: string): readonly ChangeKind[] {
  const kinds = KINDS_BY_EVENT[eventType.replace(/\.withAuthContext$/, "")];
  if (!kinds) throw new InvalidTrigger(`${field} "${eventType}" is no event of Firestore documents.`);
  return kinds;
}

/** Understands `{name}` and `*` within an id, and `{name=**}` and `**` for any number of ids. */
function pathPattern(pattern: string): (documentPath: string) => boolean {
  const segments = pattern
    .split("/")
    .filter((segment) => segment !== "")
    .map((segment) =>
      /^(?:\{[^{}]*=\*\*\}|\*\*)$/.test(segment) ? "(?:/[^/]+)*" : `/${segmentPattern(segment)}`,
    );
  const whole = new RegExp(`^${segments.join("")}$`);
  return (documentPath) => whole.test(`/${documentPath}`);
}

function segmentPattern(segment: string): string {
  return segment
    .split(/(\{[^{}]*\}|\*)/)
    .map((part) => {
      const capture = /^\{[^{}=]*(?:=([^{}]*))?\}$/.exec(part);
      if (capture) return capture[1] === undefined ? "[^/]+" : segmentPattern(capture[1]);
      return part === "*" ? "[^/]+" : part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
    })
    .join("");
}
