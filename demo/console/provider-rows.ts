import type { CollectionReference, DocumentSnapshot } from "firebase-admin/firestore";
import { type StoredQuota, usedInAll } from "../../functions/dist/quota/stored-quota.js";
import type { ProviderDocument } from "../providers.ts";
import { DEFAULT_LIMIT } from "../stack.ts";
import type { ProviderRow } from "./messages.ts";
import type { RedisEntries } from "./redis-entries.ts";

/** Of the seeded providers: some with much left, some with little, with none, and one with the default limit. */
export const SHOWN_PROVIDER_IDS = [
  "lawyer-001",
  "lawyer-004",
  "lawyer-007",
  "lawyer-008",
  "lawyer-015",
  "helper-005",
  "helper-007",
  "helper-009",
];

/** An entry can also expire, which no notification tells of. */
const LOOK_EVERY_MS = 1_000;

/** The providers of the page's table, as Firestore and Redis hold them; tells of every change. */
export class ProviderRows {
  readonly #entries: RedisEntries;
  readonly #tell: (rows: ProviderRow[]) => void;
  readonly #documents = new Map<string, DocumentSnapshot>();
  readonly #endListening: (() => void)[];
  readonly #timer: NodeJS.Timeout;
  #rows: ProviderRow[] = [];

  constructor(providers: CollectionReference, entries: RedisEntries, tell: (rows: ProviderRow[]) => void) {
    this.#entries = entries;
    this.#tell = tell;
    this.#endListening = SHOWN_PROVIDER_IDS.map((id) =>
      providers.doc(id).onSnapshot(
        (document) => {
          this.#documents.set(id, document);
          void this.look();
        },
        () => {}, // Firestore has ended, and the demo with it
      ),
    );
    this.#timer = setInterval(() => void this.look(), LOOK_EVERY_MS);
  }

  get rows(): ProviderRow[] {
    return this.#rows;
  }

  /** Looks what Redis holds now, and tells if any row is another than before. */
  async look(): Promise<void> {
    const entries = await this.#entries.read(SHOWN_PROVIDER_IDS);
    const rows = SHOWN_PROVIDER_IDS.map((id, index) => toRow(id, this.#documents.get(id), entries[index]));
    if (JSON.stringify(rows) === JSON.stringify(this.#rows)) return;
    this.#rows = rows;
    this.#tell(rows);
  }

  stop(): void {
    clearInterval(this.#timer);
    for (const end of this.#endListening) end();
  }
}

function toRow(
  id: string,
  document: DocumentSnapshot | undefined,
  entry: StoredQuota | undefined,
): ProviderRow {
  const data = document?.data() as ProviderDocument | undefined;
  return {
    id,
    name: data ? `${data.firstName} ${data.lastName}` : "",
    firestore: data ? { used: data.aiCallsUsed, limit: data.aiCallsLimit ?? DEFAULT_LIMIT } : null,
    redis:
      entry && entry.limit >= 0
        ? { used: usedInAll(entry), limit: entry.limit, pending: entry.pending + entry.inFlight }
        : null,
  };
}
