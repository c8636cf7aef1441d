-- Writes a session that Redis alone holds, unless it was destroyed.
--
-- KEYS[1] entry: string, see apply-session
-- ARGV[1] ttlMs: life of the session, milliseconds
-- ARGV[2] json: the session
--
-- Returns: 1 if written, 0 if the session was destroyed
-- Writes: entry, with the time as its version, which is above those of all documents so far
-- TTL: ttlMs
local entry = KEYS[1]
local ttlMs = ARGV[1]
local json = ARGV[2]

local HEADER_BYTES = 16
local NOT_STORED, DESTROYED = 0, -1

local header = redis.call("GETRANGE", entry, 0, HEADER_BYTES)
local knownVersion, knownUntilMs = 0, NOT_STORED
if #header >= HEADER_BYTES then
  knownVersion, knownUntilMs = struct.unpack("<dd", header)
end
if knownUntilMs == DESTROYED then
  return 0
end
local time = redis.call("TIME")
local version = math.max(time[1] * 1000000 + time[2], knownVersion + 1)
redis.call("SET", entry, struct.pack("<dd", version, NOT_STORED) .. json, "PX", ttlMs)
return 1
