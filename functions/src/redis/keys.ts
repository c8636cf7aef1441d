/**
 * Buckets that all keys are spread over. The bucket is a key's hash tag, so that what belongs together shares a slot of
 * a Redis Cluster. A constant: changing it would lose track of the entries already written.
 */
const BUCKETS = 16;

const CRC16_TABLE = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8;
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1;
  return crc & 0xffff;
});

/** CRC-16/XMODEM, the checksum by which Redis Cluster assigns slots (Redis Cluster specification, appendix A). */
export function crc16(text: string): number {
  let crc = 0;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    // What is not ASCII has several bytes.
    if (unit > 127) return crc16OfBytes(Buffer.from(text));
    crc = ((crc << 8) & 0xffff) ^ CRC16_TABLE[(crc >> 8) ^ unit]!;
  }
  return crc;
}

function crc16OfBytes(bytes: Uint8Array): number {
  let crc = 0;
  for (const byte of bytes) crc = ((crc << 8) & 0xffff) ^ CRC16_TABLE[(crc >> 8) ^ byte]!;
  return crc;
}

const SLOTS = 16_384;

/** The slot of a Redis Cluster that a key is in: by its hash tag, if it has one. */
export function slotOf(key: string): number {
  const start = key.indexOf("{") + 1;
  const end = start === 0 ? -1 : key.indexOf("}", start);
  return crc16(end > start ? key.slice(start, end) : key) % SLOTS;
}

/** Every key name of this product in Redis. */
export class Keys {
  /** Hash of the installations on a server: for each key prefix, the collection whose usage it counts in redis-primary. */
  static readonly INSTALLATIONS = "firestore-redis-quota:installations";

  /** Pattern of the dirty indexes of all prefixes, for SCAN. */
  static readonly ANY_DIRTY = "*:{*}:dirty";

  private readonly buckets: readonly string[];

  constructor(private readonly prefix: string) {
    this.buckets = Array.from({ length: BUCKETS }, (_, bucket) => `${prefix}:{${bucket}}`);
  }

  /** String with the quota of one provider. */
  quota(providerId: string): string {
    return `${this.bucket(providerId)}:q:${providerId}`;
  }

  /** Sorted set of a provider's bucket: the providers with usage that Firestore lacks, by since when (Unix ms). */
  dirty(providerId: string): string {
    return `${this.bucket(providerId)}:dirty`;
  }

  /** The dirty indexes of all buckets. */
  allDirty(): string[] {
    return this.buckets.map((bucket) => `${bucket}:dirty`);
  }

  /** The prefix of a dirty index. */
  static prefixOf(dirtyKey: string): string {
    return dirtyKey.slice(0, dirtyKey.lastIndexOf(":{"));
  }

  /** Pattern of the keys of all quotas, for SCAN; others can match it too. */
  allQuotas(): string {
    return `${this.prefix}:{*}:q:*`;
  }

  /** Whether a key is that of a quota. */
  isQuota(key: string): boolean {
    return key === this.quota(this.providerOf(key));
  }

  /** The provider whose quota a key holds. */
  providerOf(quotaKey: string): string {
    return quotaKey.slice(quotaKey.indexOf("}:q:") + "}:q:".length);
  }

  /** String with the cursor of the walk over all quotas. */
  sampleCursor(): string {
    return `${this.prefix}:sample-cursor`;
  }

  /** String with what the last backfill did. */
  lastBackfill(): string {
    return `${this.prefix}:last-backfill`;
  }

  /** Hash with what all processes together counted in an hour, numbered from the start of Unix time. */
  counts(hour: number): string {
    return `${this.prefix}:counts:${hour}`;
  }

  /** String with the answer to a call that had an idempotency key. */
  call(providerId: string, name: string): string {
    return `${this.bucket(providerId)}:k:${providerId.length}:${providerId}:${name}`;
  }

  /** String with one session. */
  session(sessionId: string): string {
    return `${this.bucket(sessionId)}:s:${sessionId}`;
  }

  /** Sorted set of the subjects of a bucket that are blocked under a policy, by until when (Unix ms). */
  blocks(bucket: number, counts: string): string {
    return `${this.buckets[bucket]!}:r:${counts}:blocks`;
  }

  /** Two hashes that take turns to hold what the subjects of a bucket were charged under a limit of a policy. */
  charges(bucket: number, counts: string, shape: string): [string, string] {
    const limit = `${this.buckets[bucket]!}:r:${counts}:${shape}`;
    return [`${limit}:0`, `${limit}:1`];
  }

  /** The number of the bucket of a provider, session or subject, whose keys may be used together on a cluster. */
  bucketOf(id: string): number {
    return crc16(id) % BUCKETS;
  }

  private bucket(id: string): string {
    return this.buckets[this.bucketOf(id)]!;
  }
}
