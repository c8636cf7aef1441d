import { checkServerIdentity, type ConnectionOptions } from "node:tls";

import type { Secret } from "../secret";
import { HOST, PORT } from "../server-address";
import type { ReadSecrets } from "./secret-manager";

/** Where Redis is and how it is opened, as configured: values, and secrets that hold values. */
export interface ServerSettings {
  readonly host: string | Secret;
  readonly port: number | Secret;
  readonly tls?: boolean;
  readonly password?: Secret | undefined;
  /** PEM certificates of the authorities that the server's certificate may come from, instead of the public ones. */
  readonly ca?: Secret | undefined;
}

/** What a connection is made with. */
export interface Access {
  readonly host: string;
  readonly port: number;
  readonly password?: string;
  readonly tls?: ConnectionOptions;
}

/** What a connection asks for what it is made with. */
export type AccessSource = Pick<Credentials, "current" | "renew">;

/** A secret was read, and is not what its setting needs. What it holds is not told. */
export class InvalidSecretError extends Error {
  override readonly name = "InvalidSecretError";
  readonly code = "secret-invalid";

  constructor({ param, version }: Secret, expected: string) {
    super(`The secret ${version} (${param}) does not hold ${expected}`);
  }
}

/** Secrets are not read again sooner than this; while nothing changes, each time after twice as long. */
const SHORTEST_INTERVAL_MS = 1000;
const LONGEST_INTERVAL_MS = 10_000;

/** The access to Redis, its secrets read when first needed, kept, and read anew when Redis does not take them. */
export class Credentials {
  private readonly secrets: readonly Secret[];
  private values: readonly string[] | undefined;
  private access: Access | undefined;
  private failure: Error | undefined;
  private reading: Promise<void> | undefined;
  private nextReadingMs = -Infinity;
  private intervalMs = SHORTEST_INTERVAL_MS;

  constructor(
    private readonly settings: ServerSettings,
    private readonly readSecrets: ReadSecrets,
    private readonly now: () => number = () => performance.now(),
  ) {
    const { host, port, password, ca } = settings;
    this.secrets = [host, port, password, ca].filter((setting) => typeof setting === "object");
    if (this.secrets.length === 0) this.access = this.toAccess([]);
  }

  /**
   * What is known, or is read now.
   *
   * @throws SecretUnavailableError
   * @throws InvalidSecretError
   */
  async current(): Promise<Access> {
    if (this.access === undefined) await this.readOnce();
    if (this.access === undefined) throw this.failure!;
    return this.access;
  }

  /**
   * Reads the secrets again, unless there are none or it is too soon.
   *
   * @returns whether they were read; {@link current} gives another object if they have changed
   * @throws SecretUnavailableError
   * @throws InvalidSecretError
   */
  async renew(): Promise<boolean> {
    if (this.secrets.length === 0 || !(await this.readOnce())) return false;
    if (this.failure !== undefined) throw this.failure;
    return true;
  }

  /** The same for a node of the cluster that these lead to. */
  ofNode(host: string, port: number): AccessSource {
    let known: Access | undefined;
    let access: Access | undefined;
    return {
      current: async () => {
        const now = await this.current();
        if (access === undefined || now !== known) access = toNode(now, host, port);
        known = now;
        return access;
      },
      // What another node's connection has read is news to this one.
      renew: async () => (await this.renew()) || this.access !== known,
    };
  }

  /** Reads once for all who ask meanwhile; a failure is kept, and so is what was known before. */
  private async readOnce(): Promise<boolean> {
    if (this.reading === undefined) {
      if (this.now() < this.nextReadingMs) return false;
      this.reading = this.read().finally(() => (this.reading = undefined));
    }
    await this.reading;
    return true;
  }

  private async read(): Promise<void> {
    const startedMs = this.now();
    const isSoon = startedMs - this.nextReadingMs < LONGEST_INTERVAL_MS;
    this.intervalMs = isSoon ? Math.min(2 * this.intervalMs, LONGEST_INTERVAL_MS) : SHORTEST_INTERVAL_MS;
    try {
      const values = await this.readSecrets(this.secrets);
      const unchanged = this.values?.every((value, i) => value === values[i]);
      if (!unchanged) {
        this.access = this.toAccess(values);
        this.values = values;
        this.intervalMs = SHORTEST_INTERVAL_MS;
      }
      this.failure = undefined;
    } catch (error) {
      this.failure = error as Error;
    }
    this.nextReadingMs = startedMs + this.intervalMs;
  }

  private toAccess(values: readonly string[]): Access {
    const valueOf = (secret: Secret, expected: string, pattern: RegExp): string => {
      // What is piped into gcloud often ends with a line feed, and a file of Windows begins with a byte order mark.
      const value = values[this.secrets.indexOf(secret)]!.trim();
      if (!pattern.test(value)) throw new InvalidSecretError(secret, expected);
      return value;
    };
    const { host, port, tls = false, password, ca } = this.settings;
    return {
      host: typeof host === "string" ? host : valueOf(host, "a host name or an IP address", WHOLE_HOST),
      port:
        typeof port === "number" ? port : Number(valueOf(port, "a port number from 1 to 65535", WHOLE_PORT)),
      ...(password && { password: valueOf(password, "one line of text, the password", ONE_LINE) }),
      ...(tls && { tls: ca ? trustOnly(valueOf(ca, "a PEM certificate", PEM)) : {} }),
    };
  }
}

const WHOLE_HOST = new RegExp(`^(${HOST})$`);
const WHOLE_PORT = new RegExp(`^(${PORT})$`);
const ONE_LINE = /^.+$/;
const PEM = /^-----BEGIN CERTIFICATE-----$/m;

/** A node's certificate may name the node, or what the cluster is known by. */
function toNode({ tls, ...access }: Access, host: string, port: number): Access {
  if (tls === undefined) return { ...access, host, port };
  const identify = tls.checkServerIdentity ?? checkServerIdentity;
  return {
    ...access,
    host,
    port,
    tls: {
      ...tls,
      checkServerIdentity: (name, certificate) =>
        identify(name, certificate) && identify(access.host, certificate),
    },
  };
}

function trustOnly(ca: string): ConnectionOptions {
  return {
    ca,
    // Memorystore's certificates name the server in the place that was for it before there were alternative names.
    checkServerIdentity: (host, certificate) =>
      certificate.subjectaltname === undefined && certificate.subject.CN === host
        ? undefined
        : checkServerIdentity(host, certificate),
  };
}
