-- Applies what Firestore held at a version to a provider's entry, unless the entry knows as new a version already.
--
-- KEYS[1] entry: string, seven little-endian doubles: pending; used (u) and in flight (f); limit (l), or -1 if
-- there is no document, -2 if it was invalidated; version (v); flush id (i) or 0; greatest marker (m)
-- KEYS[2] dirty: sorted set, providers with usage that Firestore lacks, by since when (Unix ms)
-- ARGV[1] kind: snapshot, tombstone (no such document) or invalidation (the quota must be read from Firestore again)
-- ARGV[2] version: the document's update time, microseconds since the epoch
-- ARGV[3] asOfMs: when Firestore said so, Unix ms
-- ARGV[4] ttlMs: life of a clean entry, milliseconds
-- ARGV[5] used: of a snapshot, else 0
-- ARGV[6] limit: of a snapshot, else 0
-- ARGV[7] marker: newest flush id that the document contains, 0 for none
-- ARGV[8] created: version at which the document was made, 0 if not known
-- ARGV[9] providerId: member of dirty
--
-- Returns: applied; superseded (as new a version is known); or late (older than 60 s, and no entry to compare with)
-- Writes: entry and dirty, if applied; if superseded, only what ends a flush that the snapshot contains
-- TTL: ttlMs without pending and in-flight usage, none with it
local entry = KEYS[1]
local dirty = KEYS[2]
local kind = ARGV[1]
local version = tonumber(ARGV[2])
local asOfMs = tonumber(ARGV[3])
local ttlMs = tonumber(ARGV[4])
local used = tonumber(ARGV[5])
local limit = tonumber(ARGV[6])
local marker = tonumber(ARGV[7])
local created = tonumber(ARGV[8])
local providerId = ARGV[9]

-- Younger than any entry can be when it expires (its TTL is longer), so that a snapshot that was overtaken by one which
-- has expired since is not taken for news.
local MAX_AGE_TO_CREATE_MS = 60000
local BYTES, NO_DOCUMENT, INVALIDATED = 56, -1, -2
limit = kind == "tombstone" and NO_DOCUMENT or kind == "invalidation" and INVALIDATED or limit
local packed = redis.call("GET", entry)
local known = packed and #packed == BYTES
local pending, knownUsed, inFlight, knownLimit, knownVersion, flushId, knownMarker = 0, 0, 0, 0, version, 0, 0
if known then
  pending, knownUsed, inFlight, knownLimit, knownVersion, flushId, knownMarker = struct.unpack("<ddddddd", packed)
end
local flushed = flushId > 0 and marker >= flushId
local flushBeganMs = math.floor(flushId / 1000)
local time = redis.call("TIME")
local late = time[1] * 1000 + math.floor(time[2] / 1000) - asOfMs > MAX_AGE_TO_CREATE_MS
local outcome = "applied"
if not known then
  if late then
    return "late"
  end
elseif version < knownVersion or (version == knownVersion and not (knownLimit == INVALIDATED and limit ~= INVALIDATED)) then
  outcome = "superseded"
  if not flushed then
    return outcome
  end
  -- What is known is newer than the flush, and contains it or has dropped it: only the flush ends.
  version, used, limit, late = knownVersion, knownUsed, knownLimit, true
end
if known and knownLimit ~= NO_DOCUMENT and (limit == NO_DOCUMENT or created > knownVersion) then
  -- Usage dies with its document, also if there is a new one; what a provider without one uses is kept.
  pending, inFlight, flushId = 0, 0, 0
elseif flushed then
  inFlight, flushId = 0, 0
end
if limit >= 0 then
  pending = math.max(pending, -math.max(0, used + inFlight))
end
local clean = pending == 0 and flushId == 0
if known then
  -- What a late snapshot missed may be as old; the entry does not get more time for it.
  local leftMs = late and redis.call("PTTL", entry) or 0
  ttlMs = leftMs > 0 and math.min(ttlMs, leftMs) or ttlMs
  -- A full Redis takes what follows upon this.
  redis.call("DEL", entry)
end
marker = math.max(marker, knownMarker)
redis.call("SET", entry, struct.pack("<ddddddd", pending, used, inFlight, limit, version, flushId, marker))
if clean then
  redis.call("PEXPIRE", entry, ttlMs)
  redis.call("ZREM", dirty, providerId)
elseif flushed then
  -- What is pending was consumed after the flush began, and a flush id is the time of that.
  redis.call("ZADD", dirty, flushBeganMs, providerId)
end
return outcome
