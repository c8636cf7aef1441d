-- Refuses all requests of a subject under a policy until a time, or ends that.
--
-- KEYS[1] blocks: sorted set of blocked subjects, by until when (Unix ms)
-- ARGV[1] subject: who
-- ARGV[2] untilMs: Unix ms, whole; one that has passed ends a block
--
-- Returns: nothing
-- Writes: blocks; those that have ended are removed
-- TTL: until the last block ends
local blocks = KEYS[1]
local subject = ARGV[1]
local untilMs = ARGV[2]

if subject == "" then
  return redis.error_reply("ERR The subject is empty")
end

local time = redis.call("TIME")
local nowMs = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call("ZADD", blocks, untilMs, subject)
redis.call("ZREMRANGEBYSCORE", blocks, "-inf", nowMs)
local last = redis.call("ZRANGE", blocks, -1, -1, "WITHSCORES")
if last[2] then
  redis.call("PEXPIREAT", blocks, last[2])
end
return nil
