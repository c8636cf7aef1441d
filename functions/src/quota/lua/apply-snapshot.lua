-- Applies what Firestore held at a version to a provider's entry, unless the entry knows as new a version already.
--
-- KEYS[1] entry: string of the doubles used, limit, version and flush id; of a dirty one also pending and in flight
-- (stored-quota.ts). As its limit, -1 stands for no document, and -2 for a quota that must be read from Firestore
-- KEYS[2] dirty: sorted set, providers with usage that Firestore lacks, by since when (Unix ms)
-- ARGV[1] version: the document's update time, microseconds since the epoch
-- ARGV[2] asOfMs: when Firestore said so, Unix ms
-- ARGV[3] ttlMs: life of a clean entry, milliseconds
-- ARGV[4] used: of the document, 0 where there is none or it is not known
-- ARGV[5] limit: of the document, or -1 or -2 as in the entry
-- ARGV[6] marker: newest flush id that the document contains, 0 for none
-- ARGV[7] created: version at which the document was made, 0 if not known
-- ARGV[8] providerId: member of dirty
--
-- Returns: applied; superseded (as new a version is known); or late (older than 60 s, and no entry to compare with)
-- Writes: entry and dirty, if applied; if superseded, only what ends a flush that the snapshot contains
-- TTL: ttlMs without pending and in-flight usage, none with it
local entry = KEYS[1]
local dirty = KEYS[2]
local version = tonumber(ARGV[1])
local asOfMs = tonumber(ARGV[2])
local ttlMs = tonumber(ARGV[3])
local used = tonumber(ARGV[4])
local limit = tonumber(ARGV[5])
local marker = tonumber(ARGV[6])
local created = tonumber(ARGV[7])
local providerId = ARGV[8]

-- Younger than any entry can be when it expires (its TTL is longer), so that a snapshot that was overtaken by one which
-- has expired since is not taken for news.
local MAX_AGE_TO_CREATE_MS = 60000
local CLEAN_BYTES, DIRTY_BYTES = 32, 48
local NO_DOCUMENT, NOT_KNOWN = -1, -2

local packed = redis.call("GET", entry)
local knownUsed, knownLimit, knownVersion, flushId, pending, inFlight = 0, NO_DOCUMENT, 0, 0, 0, 0
if packed and #packed == CLEAN_BYTES then
  knownUsed, knownLimit, knownVersion, flushId = struct.unpack("<dddd", packed)
elseif packed and #packed == DIRTY_BYTES then
  knownUsed, knownLimit, knownVersion, flushId, pending, inFlight = struct.unpack("<dddddd", packed)
elseif packed then
  return redis.error_reply("WRONGTYPE The key holds no quota")
end
local flushed = inFlight ~= 0 and marker >= flushId
local time = redis.call("TIME")
local late = time[1] * 1000 + math.floor(time[2] / 1000) - asOfMs > MAX_AGE_TO_CREATE_MS
local outcome = "applied"
if not packed then
  if late then
    return "late"
  end
elseif version < knownVersion or (version == knownVersion and (knownLimit ~= NOT_KNOWN or limit == NOT_KNOWN)) then
  outcome = "superseded"
  if not flushed then
    return outcome
  end
  -- What is known is newer than the flush, and contains it or has dropped it: only the flush ends.
  version, used, limit, late = knownVersion, knownUsed, knownLimit, true
end
if (limit == NO_DOCUMENT or created > knownVersion) and knownLimit ~= NO_DOCUMENT then
  -- Usage dies with its document, also if there is a new one; what a provider without one uses is kept.
  pending, inFlight = 0, 0
elseif flushed then
  inFlight = 0
end
if limit >= 0 then
  pending = math.max(pending, -math.max(0, used + inFlight))
end
if packed then
  -- What a late snapshot missed may be as old; the entry does not get more time for it.
  local leftMs = late and redis.call("PTTL", entry) or 0
  ttlMs = leftMs > 0 and math.min(ttlMs, leftMs) or ttlMs
  -- A full server refuses to begin with SET, but not to go on with it.
  redis.call("DEL", entry)
end
packed = struct.pack("<dddd", used, limit, version, math.max(marker, flushId))
if pending == 0 and inFlight == 0 then
  redis.call("SET", entry, packed, "PX", ttlMs)
  redis.call("ZREM", dirty, providerId)
else
  redis.call("SET", entry, packed .. struct.pack("<dd", pending, inFlight))
  if flushed then
    -- What is pending was consumed after the flush began, and a flush id is the time of that.
    redis.call("ZADD", dirty, math.floor(flushId / 1000), providerId)
  end
end
return outcome
