// What a param or a secret may say of a server's address. The extension's form has the same patterns; they are RE2, too.
const LABEL = "[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?";

/** A host name, an IPv4 address or an IPv6 address without brackets. */
export const HOST = `${LABEL}(\\.${LABEL})*|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*`;

/** A TCP port, without leading zeros. */
export const PORT = "[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]";
