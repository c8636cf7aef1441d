-- Adds what a process has counted to what all have counted in an hour.
--
-- KEYS[1] hour: hash of the counts by their names
-- ARGV[1] ttlMs: how long they are kept from now on, milliseconds
-- ARGV[2] maxFields: how many names there may be before the policies of new ones are counted together
-- ARGV[3] lagMaxMs: the longest lag of a mirrored change, milliseconds
-- ARGV[*] counts: names and what is to be added, in turns; that of a decision is policy:source:outcome
--
-- Returns: 1
-- Writes: hour; a decision whose name is one too many under the policy "*"
-- TTL: of hour: ttlMs
local hour = KEYS[1]
local ttlMs = ARGV[1]
local maxFields = tonumber(ARGV[2])
local lagMaxMs = tonumber(ARGV[3])

local FIRST_COUNT = 4

for i = FIRST_COUNT, #ARGV, 2 do
  local name = ARGV[i]
  if redis.call("HLEN", hour) >= maxFields and redis.call("HEXISTS", hour, name) == 0 then
    name = string.gsub(name, "^[^:]+:", "*:")
  end
  redis.call("HINCRBY", hour, name, ARGV[i + 1])
end
if lagMaxMs > tonumber(redis.call("HGET", hour, "lagMaxMs") or 0) then
  redis.call("HSET", hour, "lagMaxMs", lagMaxMs)
end
redis.call("PEXPIRE", hour, ttlMs)
return 1
