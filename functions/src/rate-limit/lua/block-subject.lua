-- Refuses all requests of a subject until a time, or ends that.
--
-- KEYS[1] entry: string, see take-limits
-- ARGV[1] untilMs: Unix ms, whole; one that has passed ends a block
-- ARGV[2] bytes: length of an entry of the policy
--
-- Returns: nothing
-- Writes: entry
-- TTL: at least until untilMs
local entry = KEYS[1]
local untilMs = tonumber(ARGV[1])
local bytes = tonumber(ARGV[2])

local before = redis.call("GET", entry)
local exists = before and #before == bytes
local expiresAtMs = exists and struct.unpack("<d", before) or 0
local time = redis.call("TIME")
local nowMs = time[1] * 1000 + math.floor(time[2] / 1000)
local keptUntilMs = math.max(expiresAtMs, untilMs)
if keptUntilMs > nowMs then
  local rest = exists and string.sub(before, 17) or string.rep("\0", bytes - 16)
  redis.call("SET", entry, struct.pack("<dd", keptUntilMs, untilMs) .. rest, "PXAT", keptUntilMs)
end
return nil
