-- Applies what Firestore held at a version to a provider's entry, unless the entry knows as new a version already.
--
-- KEYS[1] entry: hash: u used, l limit, v version; without u: a deleted provider, or with x an invalidated entry
-- ARGV[1] kind: snapshot, tombstone (no such document) or invalidation (the quota must be read from Firestore again)
-- ARGV[2] version: the document's update time, microseconds since the epoch
-- ARGV[3] asOfMs: when Firestore said so, Unix ms
-- ARGV[4] ttlMs: life of the entry, milliseconds
-- ARGV[5] used: of a snapshot, else 0
-- ARGV[6] limit: of a snapshot, else 0
--
-- Returns: applied; superseded (as new a version is known); or late (older than 60 s, and no entry to compare with)
-- Writes: entry, only if applied
-- TTL: ttlMs
local entry = KEYS[1]
local kind = ARGV[1]
local version = ARGV[2]
local asOfMs = tonumber(ARGV[3])
local ttlMs = ARGV[4]
local used = ARGV[5]
local limit = ARGV[6]

-- Younger than any entry can be when it expires (its TTL is longer), so that a snapshot that was overtaken by one which
-- has expired since is not taken for news.
local MAX_AGE_TO_CREATE_MS = 60000

local known = redis.call("HMGET", entry, "v", "x")
local knownVersion, invalidated = tonumber(known[1] or "-1"), known[2]
if knownVersion < 0 then
  local time = redis.call("TIME")
  if time[1] * 1000 + math.floor(time[2] / 1000) - asOfMs > MAX_AGE_TO_CREATE_MS then
    return "late"
  end
else
  local newer = tonumber(version) - knownVersion
  local reread = newer == 0 and invalidated and kind ~= "invalidation"
  if newer <= 0 and not reread then
    return "superseded"
  end
end

if kind == "snapshot" then
  redis.call("HSET", entry, "v", version, "u", used, "l", limit)
  redis.call("HDEL", entry, "x")
else
  redis.call("HDEL", entry, "u", "l", "x")
  redis.call("HSET", entry, "v", version)
  if kind == "invalidation" then
    redis.call("HSET", entry, "x", "1")
  end
end
redis.call("PEXPIRE", entry, ttlMs)
return "applied"
