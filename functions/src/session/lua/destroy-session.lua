-- Destroys a session in Redis for good.
--
-- KEYS[1] entry: string, see apply-session
-- ARGV[1] goneMs: how long it is remembered at least, milliseconds
--
-- Returns: 1
-- Writes: entry, with the time as its version, which is above those of all documents so far
-- TTL: goneMs, or what the session had left if that is longer
local entry = KEYS[1]
local goneMs = tonumber(ARGV[1])

local HEADER_BYTES = 16
local DESTROYED = -1

local header = redis.call("GETRANGE", entry, 0, HEADER_BYTES)
local knownVersion, knownTtlMs = 0, 0
if #header >= HEADER_BYTES then
  knownVersion = struct.unpack("<d", header)
  knownTtlMs = redis.call("PTTL", entry)
end
local time = redis.call("TIME")
local version = math.max(time[1] * 1000000 + time[2], knownVersion + 1)
if header ~= "" then
  -- A full server refuses to begin with SET, but not to go on with it.
  redis.call("DEL", entry)
end
redis.call("SET", entry, struct.pack("<dd", version, DESTROYED), "PX", math.max(goneMs, knownTtlMs))
return 1
