-- Decides requests of subjects whose policy has several limits, by all of them or none, and counts the allowed ones.
--
-- KEYS[*] hashes: as in take-limit, with two hashes for each limit
-- ARGV[*] groups: as in take-limit, with the number of limits in place of the 1, and algorithm, limit, window, capacity,
-- spanMs and unitMs for each
--
-- Returns: as take-limit, with beginning and records for each limit
-- Writes: records of which a request is allowed, if it takes; those it refunds
-- TTL: of a hash, two generations after its own
-- Include: limit-hashes
local reply = { packNumbers("<d", now) }

local function say(number)
  reply[#reply + 1] = packNumbers("<d", number)
end

-- A limit's hash, what its records hold now, and how many requests of that cost each has room for.
local function readLimit(key, numbers, cost, first, last)
  local algorithm, limit, window, capacity, span, unit = unpack(numbers)
  local generation, hash, isHeld, other, before = openHashes(key, span, algorithm)
  local start, tokens = generation * span, algorithm == TOKENS
  local records = isHeld and call("HMGET", hash, unpack(ARGV, first, last)) or {}
  local earlier = before and call("HMGET", before, unpack(ARGV, first, last)) or {}
  local time, latest = floor(now / unit), floor((now + span) / unit)
  local weight = now > start and window - time + start / unit or window
  local charged, second, rooms, exists = {}, {}, {}, {}
  say(start)
  for i = 1, last - first + 1 do
    local record = records[i]
    if not record or #record ~= RECORD_BYTES then
      record = carry(algorithm, earlier[i])
    end
    reply[#reply + 1] = record
    local room
    charged[i], second[i], room = roomOf(record, tokens, limit, window, time, latest, weight, capacity * window)
    rooms[i], exists[i] = room / (cost * window), record ~= NONE
  end
  local function write(grants)
    local fields = {}
    for i, granted in pairs(grants) do
      if granted > 0 or exists[i] then
        local amount = granted * (tokens and cost * window or cost)
        fields[#fields + 1] = ARGV[first + i - 1]
        fields[#fields + 1] = charge(charged[i], second[i], tokens, amount)
      end
    end
    if #fields > 0 and not isHeld then
      beginGeneration(generation, hash, other, before, span)
    end
    return #fields > 0 and call("HSET", hash, unpack(fields))
  end
  return rooms, write
end

local key, arg = 0, 0
while arg < #ARGV do
  local count, repeated, cost, operation, refusedUntil, limitCount = unpack(ARGV, arg + 1, arg + 6)
  count, repeated, cost, operation = count + 0, repeated + 0, cost + 0, operation + 0
  local first = arg + 7 + 6 * limitCount
  local last = first + count - 1
  local blocks, times = blocksOf(key + 1, first, last), timesOf(last, repeated)
  say(blocks and 1 or 0)
  for i = 1, blocks and count or 0 do
    blocks[i] = (blocks[i] or 0) + 0
    say(blocks[i])
  end
  local writes, least = {}, {}
  for j = 1, limitCount do
    local numbers = {}
    for i = 1, 6 do
      numbers[i] = ARGV[arg + 6 * j + i] + 0
    end
    local rooms
    rooms, writes[j] = readLimit(key + 2 * j, numbers, cost, first, last)
    for i = 1, count do
      least[i] = j > 1 and least[i] < rooms[i] and least[i] or rooms[i]
    end
  end
  local takes, grants = operation == TAKE and refusedUntil + 0 <= now, {}
  for i = 1, count do
    local asked = times[i] or 1
    if takes and least[i] >= 1 and not (blocks and blocks[i] > now) then
      grants[i] = least[i] < asked and floor(least[i]) or asked
    elseif operation == REFUND then
      grants[i] = -asked
    end
  end
  for j = 1, limitCount do
    writes[j](grants)
  end
  key, arg = key + 1 + 2 * limitCount, last + 2 * repeated
end
return table.concat(reply)
