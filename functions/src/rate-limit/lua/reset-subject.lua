-- Forgets what a subject was charged under a policy, and ends a block of it.
--
-- KEYS[1] blocks: sorted set of blocked subjects
-- KEYS[*] hashes: of the policy's limits, see take-limit
-- ARGV[1] subject: who
--
-- Returns: nothing
-- Writes: blocks and hashes
-- TTL: as it was
local blocks = KEYS[1]
local subject = ARGV[1]

if subject == "" then
  return redis.error_reply("ERR The subject is empty")
end

redis.call("ZREM", blocks, subject)
for i = 2, #KEYS do
  redis.call("HDEL", KEYS[i], subject)
end
return nil
