-- Reads the quotas of many providers.
--
-- KEYS[*] entries: hashes, see apply-snapshot
--
-- Returns: flat array, for each entry used (with what is pending and in flight) and limit; limit is -1 for a provider
-- without a document, -2 for a quota that must be read from Firestore, -3 for a key that is no entry
-- Writes: nothing
-- TTL: unchanged
local reply = {}
for i, entry in ipairs(KEYS) do
  local known = redis.pcall("HMGET", entry, "u", "l", "p", "f", "v", "x")
  local used, limit = 0, -2
  if known.err then
    limit = -3
  elseif known[1] then
    used, limit = math.max(0, known[1] + (known[4] or 0)) + (known[3] or 0), tonumber(known[2])
  elseif known[5] and not known[6] then
    used, limit = math.max(0, tonumber(known[4] or 0)) + (known[3] or 0), -1
  end
  reply[2 * i - 1] = used
  reply[2 * i] = limit
end
return reply
