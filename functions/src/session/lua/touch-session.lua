-- Prolongs the life of a session, and never shortens it.
--
-- KEYS[1] entry: string, see apply-session
-- ARGV[1] ttlMs: how long the session is to live from now on, milliseconds
--
-- Returns: empty if Redis knows nothing of the session; {0} if there is none; else {1, storedMs, version, json}: how long
-- the document has left (ms), and what Redis alone holds if it has nothing left (else 0 and empty)
-- Writes: nothing but the TTL
-- TTL: of entry: ttlMs, unless it was longer
local entry = KEYS[1]
local ttlMs = tonumber(ARGV[1])

local HEADER_BYTES = 16

local header = redis.call("GETRANGE", entry, 0, HEADER_BYTES)
if #header < HEADER_BYTES then
  return {}
end
if #header == HEADER_BYTES then
  return { 0 }
end
if ttlMs > redis.call("PTTL", entry) then
  redis.call("PEXPIRE", entry, ttlMs)
end
local version, storedUntilMs = struct.unpack("<dd", header)
local time = redis.call("TIME")
local storedMs = math.floor(storedUntilMs - time[1] * 1000 - time[2] / 1000)
if storedMs > 0 then
  return { 1, storedMs, 0, "" }
end
return { 1, 0, version, redis.call("GETRANGE", entry, HEADER_BYTES, -1) }
