import { asList, asNumber, asTextOrNull } from "./reply";

/** What a server of a cluster replies instead of an answer: whom to ask, or to ask again. */
export type Redirection =
  { readonly kind: "moved" | "ask"; readonly address: string } | { readonly kind: "try-again" };

/** The redirection that an error of the server at `askedAddress` is, if it is one. */
export function redirectionOf({ name, message }: Error, askedAddress: string): Redirection | undefined {
  if (name !== "ReplyError") return undefined;
  const [kind, , address] = message.split(" ");
  if (kind === "TRYAGAIN") return { kind: "try-again" };
  if ((kind !== "MOVED" && kind !== "ASK") || address === undefined) return undefined;
  const colon = address.lastIndexOf(":");
  return {
    kind: kind === "MOVED" ? "moved" : "ask",
    address: addressFrom(address.slice(0, colon), address.slice(colon + 1), askedAddress),
  };
}

/**
 * Servers leave their host out where they do not know by which name they are reached, or say "?" where they are to
 * announce a host name and have none: both mean the address that was asked.
 */
function addressFrom(host: string | null, port: string | number, askedAddress: string): string {
  const isKnown = host !== null && host !== "" && host !== "?";
  return `${isKnown ? host : askedAddress.slice(0, askedAddress.lastIndexOf(":"))}:${port}`;
}

/** Which masters of a cluster have which slots; a master is named by its address, `host:port`. */
export class SlotMap {
  private readonly owners: string[] = [];

  /**
   * Reads a reply to CLUSTER SLOTS.
   *
   * @param askedAddress of the server that replied
   */
  static parse(reply: unknown, askedAddress: string): SlotMap {
    const slots = new SlotMap();
    for (const range of asList(reply)) {
      const [first, last, master] = asList(range);
      const [host, port] = asList(master);
      const address = addressFrom(asTextOrNull(host), asNumber(port), askedAddress);
      for (let slot = asNumber(first); slot <= asNumber(last); slot++) slots.owners[slot] = address;
    }
    return slots;
  }

  get isEmpty(): boolean {
    return this.owners.length === 0;
  }

  addressOf(slot: number): string | undefined {
    return this.owners[slot];
  }

  move(slot: number, address: string): void {
    this.owners[slot] = address;
  }

  /** The addresses of all masters, sorted. */
  addresses(): string[] {
    return [...new Set(this.owners)].filter((address) => address !== undefined).sort();
  }
}
