import { isIP, isIPv4, isIPv6 } from "node:net";

import ipaddr from "ipaddr.js";

type Address = ipaddr.IPv4 | ipaddr.IPv6;

/** A network: an address and the length of its prefix in bits. */
export type Network = [address: Address, prefixLength: number];

/** The prefix lengths, in bits, of the networks that are counted as one client. */
export interface SubnetLengths {
  readonly ipv4: number;
  readonly ipv6: number;
}

const BITS = { ipv4: 32, ipv6: 128 } as const;

/** `[::1]:443` or `192.0.2.1:443`, as some proxies write it. */
const WITH_PORT = /^(?:\[([^\]]*)\](?::\d+)?|(\d+(?:\.\d+){3}):\d+)$/;

/**
 * The network of an address in its one canonical spelling (RFC 5952), such as `2001:db8:1:2::/64`, or just the address
 * where the prefix is as long as the address. IPv4-mapped IPv6 addresses are IPv4; ports and zone ids are dropped.
 *
 * @param text an address, or a network with just this prefix length
 * @returns undefined for any other text
 */
export function networkOf(text: string, lengths: SubnetLengths): string | undefined {
  // The usual case, which needs no parsing: net.isIPv4 accepts only the canonical spelling.
  if (lengths.ipv4 === BITS.ipv4 && isIPv4(text)) return text;
  const [address, givenLength] = text.includes("/") ? (parseNetwork(text) ?? []) : [parseAddress(text)];
  if (address === undefined) return undefined;
  const length = lengths[address.kind()];
  if (givenLength !== undefined && givenLength !== length) return undefined;
  if (length === BITS[address.kind()]) return address.toString();
  return `${masked(address, length).toString()}/${length}`;
}

/**
 * Parses the networks of TRUSTED_PROXIES: addresses or CIDR blocks, separated by commas.
 *
 * @returns the networks and the parts that are neither
 */
export function parseNetworks(list: string): { readonly networks: Network[]; readonly invalid: string[] } {
  const networks: Network[] = [];
  const invalid: string[] = [];
  const parts = list.split(",").map((part) => part.trim());
  for (const part of parts.filter((part) => part !== "")) {
    const network = parseNetwork(part);
    if (network === undefined) invalid.push(part);
    else networks.push(network);
  }
  return { networks, invalid };
}

/** A network of IPv4-mapped IPv6 addresses is one of IPv4; a prefix that is too short for that is an error. */
function parseNetwork(text: string): Network | undefined {
  const [written, length, ...rest] = text.split("/");
  const address = written!.includes("%") ? undefined : parseAddress(written!);
  if (address === undefined || isIP(written!) === 0 || rest.length > 0) return undefined;
  const bits = BITS[address.kind()];
  if (length === undefined) return [address, bits];
  const mappedBits = isIPv6(written!) ? BITS.ipv6 - bits : 0;
  const prefixLength = Number(length) - mappedBits;
  if (!/^\d{1,3}$/.test(length) || prefixLength < 0 || prefixLength > bits) return undefined;
  return [masked(address, prefixLength), prefixLength];
}

/** The parts of an HTTP request that show where it comes from. */
export interface HttpRequest {
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly socket?: { readonly remoteAddress?: string | undefined };
}

/** Ranges (as ipaddr.js names them) that no client on the internet connects from: Google's front ends, or a local proxy. */
const LOCAL_RANGES: readonly string[] = ["loopback", "linkLocal", "private", "uniqueLocal"];

/**
 * The IP address of the client that sent an HTTP request: the nearest address that is not a trusted proxy. A client can
 * add entries to X-Forwarded-For, but only before the one that the first trusted proxy appends.
 *
 * @param trustedProxies networks of the proxies in front of Google's front end, which itself needs no entry
 * @returns undefined if the request shows no valid address
 */
export function clientIp(
  { headers, socket }: HttpRequest,
  trustedProxies: readonly Network[] = [],
): string | undefined {
  const peer = socket?.remoteAddress === undefined ? undefined : parseAddress(socket.remoteAddress);
  if (peer !== undefined && !isTrusted(peer, trustedProxies) && !LOCAL_RANGES.includes(peer.range()))
    return peer.toString();
  let client = peer;
  const forwarded = [headers["x-forwarded-for"] ?? []].flat().join(",").split(",");
  for (const entry of forwarded.reverse()) {
    const address = parseAddress(entry.trim());
    if (address === undefined) break;
    client = address;
    if (!isTrusted(address, trustedProxies)) break;
  }
  return client?.toString();
}

function isTrusted(address: Address, networks: readonly Network[]): boolean {
  return networks.some(
    ([network, length]) =>
      network.kind() === address.kind() && masked(address, length).toString() === network.toString(),
  );
}

/** An address with all bits 0 but those of a prefix. */
function masked(address: Address, prefixLength: number): Address {
  const bytes = address.toByteArray().map((byte, i) => {
    const bits = Math.min(8, Math.max(0, prefixLength - 8 * i));
    return byte & (0xff00 >> bits) & 0xff;
  });
  return ipaddr.fromByteArray(bytes);
}

function parseAddress(text: string): Address | undefined {
  const [, bracketed, ipv4] = WITH_PORT.exec(text) ?? [];
  const [address] = (bracketed ?? ipv4 ?? text).split("%");
  // ipaddr.js also accepts octal and hexadecimal parts.
  return isIP(address!) === 0 ? undefined : ipaddr.process(address!);
}
