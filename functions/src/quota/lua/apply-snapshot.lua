-- Applies what Firestore held at a version to a provider's entry, unless the entry knows as new a version already.
--
-- KEYS[1] entry: hash: u used, l limit, v version, m marker; p pending, f in flight under flush id i; without u: no
-- document, or with x an invalidated entry
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
local version = ARGV[2]
local asOfMs = tonumber(ARGV[3])
local ttlMs = ARGV[4]
local used = ARGV[5]
local limit = ARGV[6]
local marker = tonumber(ARGV[7])
local created = tonumber(ARGV[8])
local providerId = ARGV[9]

-- Younger than any entry can be when it expires (its TTL is longer), so that a snapshot that was overtaken by one which
-- has expired since is not taken for news.
local MAX_AGE_TO_CREATE_MS = 60000
local known = redis.call("HMGET", entry, "v", "u", "x", "p", "f", "i", "m", "l")
local invalidated, flushId = known[3], known[6]
local pending, inFlight = tonumber(known[4] or 0), tonumber(known[5] or 0)
local flushed = flushId and marker >= tonumber(flushId)
local time = redis.call("TIME")
local late = time[1] * 1000 + math.floor(time[2] / 1000) - asOfMs > MAX_AGE_TO_CREATE_MS
local outcome = "applied"
if not known[1] then
  if late then
    return "late"
  end
else
  local newer = tonumber(version) - tonumber(known[1])
  if newer < 0 or (newer == 0 and not (invalidated and kind ~= "invalidation")) then
    outcome = "superseded"
    if not flushed then
      return outcome
    end
    -- What is known is newer than the flush, and contains it or has dropped it: only the flush ends.
    kind = known[2] and "snapshot" or invalidated and "invalidation" or "tombstone"
    version, used, limit, late = known[1], known[2], known[8], true
  end
end
local gone = kind == "tombstone" or created > tonumber(known[1] or version)
if gone and (known[2] or invalidated) then
  -- Usage dies with its document, also if there is a new one; what a provider without one uses is kept.
  pending, inFlight, flushId = 0, 0, false
elseif flushed then
  inFlight, flushId = 0, false
end
if kind == "snapshot" then
  pending = math.max(pending, -math.max(0, used + inFlight))
end
local fields = { "v", version }
local function keep(name, value, wanted)
  if wanted then
    fields[#fields + 1], fields[#fields + 2] = name, value
  end
end
keep("u", used, kind == "snapshot")
keep("l", limit, kind == "snapshot")
keep("x", 1, kind == "invalidation")
keep("p", pending, pending ~= 0)
keep("f", inFlight, flushId)
keep("i", flushId, flushId)
marker = math.max(marker, tonumber(known[7] or 0))
keep("m", marker, marker > 0)
if known[1] then
  -- What a late snapshot missed may be as old; the entry does not get more time for it.
  local leftMs = late and redis.call("PTTL", entry) or 0
  ttlMs = leftMs > 0 and math.min(ttlMs, leftMs) or ttlMs
  redis.call("DEL", entry)
end
redis.call("HSET", entry, unpack(fields))
if pending == 0 and not flushId then
  redis.call("PEXPIRE", entry, ttlMs)
  redis.call("ZREM", dirty, providerId)
elseif flushed then
  -- What is pending was consumed after the flush began, and a flush id is the time of that.
  redis.call("ZADD", dirty, math.floor(known[6] / 1000), providerId)
end
return outcome
