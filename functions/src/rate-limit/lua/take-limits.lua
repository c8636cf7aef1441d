-- Decides requests of subjects whose policy has several limits, by all of them or none, and counts the allowed ones.
--
-- KEYS[*] entries: string per subject of a policy, little-endian doubles: expiresAtMs, blockedUntilMs, then for each limit
-- its state, as in take-limit
-- ARGV[*] groups: as in take-limit, with the number of limits before the first, and each limit's algorithm, limit,
-- windowMs and capacity
--
-- Returns: a string of little-endian doubles: Redis's time, Unix ms; then each entry as it was before
-- Writes: entries of which a request is allowed, if it takes; those it refunds
-- TTL: until no limit needs the entry; a later one only where that is not enough
-- Include: limit-state
local call, min = redis.call, math.min

local reply = { struct.pack("<d", now) }
local key, arg = 0, 0
while arg < #ARGV do
  local numbers = {}
  for i = 1, 6 + 4 * ARGV[arg + 6] do
    numbers[i] = ARGV[arg + i] + 0
  end
  local count, times, cost, operation, blockedBefore, limitCount = unpack(numbers, 1, 6)
  local format = "<" .. string.rep("d", 2 + 3 * limitCount)
  local bytes = 8 * (2 + 3 * limitCount)
  local known = call("MGET", unpack(KEYS, key + 1, key + count))
  for i = 1, count do
    local entry = known[i]
    local exists = entry and #entry == bytes
    entry = exists and entry or string.rep("\0", bytes)
    reply[key + i + 1] = entry
    local state = { struct.unpack(format, entry) }
    local roomForAll = times
    for j = 1, limitCount do
      local algorithm, limit, window, capacity = unpack(numbers, 3 + 4 * j, 6 + 4 * j)
      local at, roomFor = 3 * j, 0
      state[at], state[at + 1], state[at + 2], roomFor =
        advance(algorithm, limit, window, capacity, cost, state[at], state[at + 1], state[at + 2])
      roomForAll = min(roomForAll, roomFor)
    end
    local granted = grant(operation, times, roomForAll, exists, max(state[2], blockedBefore))
    if granted ~= 0 then
      local neededUntil, keptUntil = state[2], state[2]
      for j = 1, limitCount do
        local algorithm, limit, window, capacity = unpack(numbers, 3 + 4 * j, 6 + 4 * j)
        local at, needed, kept = 3 * j, 0, 0
        state[at + 1], state[at + 2], needed, kept =
          charge(algorithm, limit, window, capacity, granted * cost, state[at], state[at + 1], state[at + 2])
        neededUntil, keptUntil = max(neededUntil, needed), max(keptUntil, kept)
      end
      local prolongs = not exists or neededUntil > state[1]
      state[1] = prolongs and keptUntil or state[1]
      local packed = struct.pack(format, unpack(state, 1, 2 + 3 * limitCount))
      if prolongs then
        call("SET", KEYS[key + i], packed, "PXAT", keptUntil)
      else
        call("SETRANGE", KEYS[key + i], 0, packed)
      end
    end
  end
  key, arg = key + count, arg + 6 + 4 * limitCount
end
return table.concat(reply)
