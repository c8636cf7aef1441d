-- Applies a version of a session's document, unless the entry has the same or a newer one. Destroyed is final.
--
-- KEYS[1] entry: string of the doubles version and storedUntilMs, then JSON; without JSON no session (stored-session.ts)
-- ARGV[1] version: the document's update time, microseconds since the epoch
-- ARGV[2] asOfMs: when Firestore said so, Unix ms
-- ARGV[3] storedUntilMs: when the document expires, Unix ms; 0 for no session, -1 for a destroyed one
-- ARGV[4] origin: set (the caller has just set the session, whose lifetime starts again), call (the caller has just read or
--   written the document) or event
-- ARGV[5] goneMs: life of an entry without a session, milliseconds
-- ARGV[6] json: the session, or empty
--
-- Returns: applied; superseded (as new a version is known); or late (older than 60 s, and no entry to compare with)
-- Writes: entry, if applied
-- TTL: until the session expires, in Firestore or by the touches that Firestore was not told of; else goneMs
local entry = KEYS[1]
local version = tonumber(ARGV[1])
local asOfMs = tonumber(ARGV[2])
local storedUntilMs = tonumber(ARGV[3])
local origin = ARGV[4]
local goneMs = tonumber(ARGV[5])
local json = ARGV[6]

-- Less than any entry without a session lives, so that a snapshot that was overtaken by a deletion which has been
-- forgotten since is not taken for news.
local MAX_AGE_TO_CREATE_MS = 60000
local HEADER_BYTES = 16
local NOT_STORED, DESTROYED = 0, -1

local time = redis.call("TIME")
local nowMs = time[1] * 1000 + math.floor(time[2] / 1000)
local late = nowMs - asOfMs > MAX_AGE_TO_CREATE_MS
local header = redis.call("GETRANGE", entry, 0, HEADER_BYTES)
local set = origin == "set"
local destroyed = storedUntilMs == DESTROYED
-- A call's snapshot is current, so its TTL is by Firestore's clock only. An event can be old, so its delay is subtracted.
local ttlMs = storedUntilMs - asOfMs
if origin == "event" then
  ttlMs = ttlMs - math.max(0, nowMs - asOfMs)
end
local knownTtlMs = 0
if header == "" then
  if late then
    return "late"
  end
elseif #header < HEADER_BYTES then
  return redis.error_reply("WRONGTYPE The key holds no session")
else
  local knownVersion, knownUntilMs = struct.unpack("<dd", header)
  local alive = #header > HEADER_BYTES
  local order = version - knownVersion
  if destroyed ~= (knownUntilMs == DESTROYED) then
    order = destroyed and 1 or -1
  elseif set and alive and knownUntilMs == NOT_STORED then
    -- The version of a session in Redis only is by Redis's clock, and cannot be compared with Firestore's.
    order = 1
  end
  if order < 0 or (order == 0 and not set) then
    return "superseded"
  end
  knownTtlMs = redis.call("PTTL", entry)
  -- A document whose expiry was brought forward ends the session earlier; another does not undo what touches have given.
  if alive and not set and storedUntilMs >= knownUntilMs then
    ttlMs = math.max(ttlMs, knownTtlMs)
  end
  -- What a late snapshot missed may be as old; the entry does not get more time for it.
  if late then
    ttlMs = math.min(ttlMs, knownTtlMs)
  end
end
if json == "" or ttlMs <= 0 then
  json = ""
  ttlMs = math.max(goneMs, knownTtlMs)
  storedUntilMs = destroyed and DESTROYED or NOT_STORED
end
if header ~= "" then
  -- A full server refuses to begin with SET, but not to go on with it.
  redis.call("DEL", entry)
end
redis.call("SET", entry, struct.pack("<dd", version, storedUntilMs) .. json, "PX", ttlMs)
return "applied"
