import { clientIp, networkOf, parseNetworks, type Network } from "../../functions/src/rate-limit/ip-address";

const DEFAULT = { ipv4: 32, ipv6: 64 };

describe("the network that an address counts for", () => {
  test.each([
    ["192.0.2.1", "192.0.2.1"],
    ["192.0.2.1:8080", "192.0.2.1"],
    ["::ffff:192.0.2.1", "192.0.2.1"],
    ["::FFFF:C000:0201", "192.0.2.1"],
    ["[::ffff:192.0.2.1]:443", "192.0.2.1"],
    ["2001:db8:1:2::1", "2001:db8:1:2::/64"],
    ["2001:DB8:1:2:0:0:0:1", "2001:db8:1:2::/64"],
    ["2001:0db8:0001:0002:ffff:ffff:ffff:ffff", "2001:db8:1:2::/64"],
    ["[2001:db8:1:2::7]:443", "2001:db8:1:2::/64"],
    ["[2001:db8:1:2::7]", "2001:db8:1:2::/64"],
    ["2001:db8:1:2::/64", "2001:db8:1:2::/64"],
    ["2001:db8:1:3::1", "2001:db8:1:3::/64"],
    ["fe80::1%eth0", "fe80::/64"],
    ["::1", "::/64"],
  ])("%s counts as %s", (address, network) => {
    expect(networkOf(address, DEFAULT)).toBe(network);
  });

  test("its prefix lengths can be chosen", () => {
    expect(networkOf("192.0.2.200", { ipv4: 24, ipv6: 64 })).toBe("192.0.2.0/24");
    expect(networkOf("2001:db8:1:2ff::1", { ipv4: 32, ipv6: 56 })).toBe("2001:db8:1:200::/56");
    expect(networkOf("2001:DB8:1:2::1", { ipv4: 32, ipv6: 128 })).toBe("2001:db8:1:2::1");
    expect(networkOf("::ffff:192.0.2.0/120", { ipv4: 24, ipv6: 64 })).toBe("192.0.2.0/24");
    expect(networkOf("::ffff:192.0.2.0/24", { ipv4: 24, ipv6: 64 })).toBeUndefined();
  });

  test.each([
    "",
    "alice",
    "unknown",
    "192.0.2",
    "192.0.2.01",
    "0x7f.0.0.1",
    "3232235777",
    "1.2.3.4.5",
    "2001:db8::/48",
    ":::",
    "192.0.2.1:a",
  ])("%j is no address", (text) => {
    expect(networkOf(text, DEFAULT)).toBeUndefined();
  });
});

describe("the client's address", () => {
  const { networks: proxies } = parseNetworks("203.0.113.0/24, 2001:db8:f::/48,198.51.100.7");
  const from = (forwarded: string | string[] | undefined, remoteAddress?: string) =>
    clientIp({ headers: { "x-forwarded-for": forwarded }, socket: { remoteAddress } }, proxies);

  test("is the peer's where nobody forwarded", () => {
    expect(from(undefined, "192.0.2.9")).toBe("192.0.2.9");
    expect(from(undefined, "::ffff:192.0.2.9")).toBe("192.0.2.9");
    expect(from(undefined, undefined)).toBeUndefined();
  });

  test("is the last one that Google's front end has appended, whatever the client says before it", () => {
    for (const peer of ["169.254.8.129", "::ffff:169.254.1.1", "127.0.0.1", "10.0.0.5", undefined]) {
      expect(from("1.1.1.1, 192.0.2.9", peer)).toBe("192.0.2.9");
      expect(from(["1.1.1.1", "192.0.2.9"], peer)).toBe("192.0.2.9");
    }
  });

  test("is the peer's, not what it claims, where the peer is on the internet and no trusted proxy", () => {
    expect(from("1.1.1.1", "192.0.2.9")).toBe("192.0.2.9");
    expect(from("1.1.1.1", "203.0.113.80")).toBe("1.1.1.1");
  });

  test("is behind the trusted proxies", () => {
    expect(from("6.6.6.6, 192.0.2.9, 203.0.113.80", "127.0.0.1")).toBe("192.0.2.9");
    expect(from("6.6.6.6, 192.0.2.9, 2001:DB8:F::80, 198.51.100.7", "127.0.0.1")).toBe("192.0.2.9");
    expect(from("203.0.113.5, 203.0.113.80", "127.0.0.1")).toBe("203.0.113.5");
  });

  test("is the nearest valid address before text that is none", () => {
    expect(from("192.0.2.9, unknown, 203.0.113.80", "127.0.0.1")).toBe("203.0.113.80");
    expect(from("\u0000", "169.254.1.1")).toBe("169.254.1.1");
    expect(from("not an address", undefined)).toBeUndefined();
  });
});

const textOf = ([address, length]: Network) => `${address.toString()}/${length}`;

test("a network of IPv4-mapped addresses is one of IPv4", () => {
  const { networks, invalid } = parseNetworks(
    "::ffff:10.0.0.1, ::ffff:10.1.2.3/104,::FFFF:C000:0201/120, ::ffff:0:0/96, ::ffff:10.0.0.0/95, ::ffff:10.0.0.0/129",
  );
  expect(networks.map(textOf)).toEqual(["10.0.0.1/32", "10.0.0.0/8", "192.0.2.0/24", "0.0.0.0/0"]);
  expect(invalid).toEqual(["::ffff:10.0.0.0/95", "::ffff:10.0.0.0/129"]);
  const { networks: mapped } = parseNetworks("::ffff:203.0.113.0/120");
  for (const peer of ["203.0.113.80", "::ffff:203.0.113.80"])
    expect(
      clientIp({ headers: { "x-forwarded-for": "192.0.2.9" }, socket: { remoteAddress: peer } }, mapped),
    ).toBe("192.0.2.9");
});

test("networks that are none are listed", () => {
  expect(parseNetworks(" ,").networks).toEqual([]);
  const { networks, invalid } = parseNetworks(
    "10.0.0.0/8, 10.0.0.0/33, ::/129, a.b, 1.2.3.4/8/9, 10.0.0.0/, 0x7f.1",
  );
  expect(networks.map(textOf)).toEqual(["10.0.0.0/8"]);
  expect(invalid).toEqual(["10.0.0.0/33", "::/129", "a.b", "1.2.3.4/8/9", "10.0.0.0/", "0x7f.1"]);
});
