-- Reads the quotas of many providers.
--
-- KEYS[*] entries: hashes, see apply-snapshot
--
-- Returns: flat array, for each entry used (with what is pending and in flight) and limit; limit is -1 for a provider
-- without a document, -2 for a quota that must be read from Firestore, -3 for a key that is no entry
-- Writes: nothing
-- TTL: unchanged
local call, tryCall = redis.call, redis.pcall

-- Of an entry without u.
local function readWithoutQuota(entry, known)
  if known.err then
    return 0, -3
  end
  local state = call("HMGET", entry, "v", "x")
  if state[2] or not state[1] then
    return 0, -2
  end
  return math.max(0, tonumber(known[4] or 0)) + (known[3] or 0), -1
end

local reply = {}
local at = 0
for i = 1, #KEYS do
  local entry = KEYS[i]
  local known = tryCall("HMGET", entry, "u", "l", "p", "f")
  local used, limit, pending, inFlight = known[1], known[2], known[3], known[4]
  if not used then
    used, limit = readWithoutQuota(entry, known)
  elseif inFlight then
    used = math.max(0, used + inFlight)
  end
  if pending and limit ~= -1 then
    used = used + pending
  end
  reply[at + 1], reply[at + 2] = tonumber(used), tonumber(limit)
  at = at + 2
end
return reply
