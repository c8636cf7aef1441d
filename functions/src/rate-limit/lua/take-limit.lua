-- Decides requests of subjects whose policy has one limit, and counts the allowed ones.
--
-- KEYS[*] entries: string per subject of a policy, little-endian doubles: expiresAtMs, blockedUntilMs, then the state of
-- its limit: time (Unix ms), charged, before (see limit-algorithms.ts)
-- ARGV[*] groups: for requests alike, whose entries follow each other in KEYS: number of entries; of requests for each;
-- cost (positive integer); 0 to peek, 1 to take, 2 to refund; blockedUntilMs; algorithm (1 fixed-window, 2
-- sliding-window, 3 token-bucket), limit, windowMs, capacity
--
-- Returns: a string of little-endian doubles: Redis's time, Unix ms; then each entry as it was before
-- Writes: entries of which a request is allowed, if it takes; those it refunds
-- TTL: until the limit does not need the entry; a later one only where that is not enough
-- Include: limit-state
local call, unpackNumbers, packNumbers = redis.call, struct.unpack, struct.pack
local BYTES = 40
local NONE = string.rep("\0", BYTES)

local reply = { packNumbers("<d", now) }
local key = 0
for arg = 1, #ARGV, 9 do
  local count, times, cost, operation, blockedBefore = unpack(ARGV, arg, arg + 4)
  local algorithm, limit, window, capacity = unpack(ARGV, arg + 5, arg + 8)
  count, times, cost, operation, blockedBefore = count + 0, times + 0, cost + 0, operation + 0, blockedBefore + 0
  algorithm, limit, window, capacity = algorithm + 0, limit + 0, window + 0, capacity + 0
  local known = call("MGET", unpack(KEYS, key + 1, key + count))
  for i = 1, count do
    local entry = known[i]
    local exists = entry and #entry == BYTES
    entry = exists and entry or NONE
    reply[key + i + 1] = entry
    local expires, blocked, time, charged, before = unpackNumbers("<ddddd", entry)
    local roomFor, needed, kept
    time, charged, before, roomFor = advance(algorithm, limit, window, capacity, cost, time, charged, before)
    local granted = grant(operation, times, roomFor, exists, blocked > blockedBefore and blocked or blockedBefore)
    if granted ~= 0 then
      charged, before, needed, kept =
        charge(algorithm, limit, window, capacity, granted * cost, time, charged, before)
      if exists and needed <= expires then
        call("SETRANGE", KEYS[key + i], 16, packNumbers("<ddd", time, charged, before))
      else
        expires = max(kept, blocked)
        call("SET", KEYS[key + i], packNumbers("<ddddd", expires, blocked, time, charged, before), "PXAT", expires)
      end
    end
  end
  key = key + count
end
return table.concat(reply)
