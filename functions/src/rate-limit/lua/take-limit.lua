-- Decides requests of subjects whose policy has one limit, and counts the allowed ones.
--
-- KEYS[*] hashes: for each group: sorted set of blocked subjects by until when (Unix ms), and the limit's two hashes of
-- records by subject: doubles charged and before, of a token bucket charged and time in units (see limit-algorithms.ts)
-- ARGV[*] groups: for requests alike: number of subjects; of those with more than one request; cost (positive integer);
-- 0 to peek, 1 to take, 2 to refund; until when all are refused (Unix ms); 1; algorithm (1 fixed-window, 2 sliding-window,
-- 3 token-bucket), limit, window (in units), capacity, spanMs (of a generation), unitMs; the subjects; place and number of
-- requests of those with more than one
--
-- Returns: a string of doubles: Redis's time (Unix ms); for each group 1 if subjects are blocked, and then until when each
-- is, or 0; when the generation began (Unix ms), and in it each record as it was before
-- Writes: records of which a request is allowed, if it takes; those it refunds
-- TTL: of a hash, two generations after its own
-- Include: limit-hashes
local reply = { packNumbers("<d", now) }
local said = 1

local key, arg = 0, 0
while arg < #ARGV do
  local count, repeated, cost, operation, refusedUntil = unpack(ARGV, arg + 1, arg + 5)
  local algorithm, limit, window, capacity, span, unit = unpack(ARGV, arg + 7, arg + 12)
  count, repeated, cost, operation, algorithm = count + 0, repeated + 0, cost + 0, operation + 0, algorithm + 0
  limit, window, span, unit = limit + 0, window + 0, span + 0, unit + 0
  local first, last = arg + 13, arg + 12 + count
  local blocks, times = blocksOf(key + 1, first, last), timesOf(last, repeated)
  local generation, hash, isHeld, other, before = openHashes(key + 2, span, algorithm)
  local start, tokens, takes = generation * span, algorithm == TOKENS, operation == TAKE and refusedUntil + 0 <= now
  local records = isHeld and call("HMGET", hash, unpack(ARGV, first, last)) or {}
  local time, latest = floor(now / unit), floor((now + span) / unit)
  local weight = now > start and window - time + start / unit or window
  local full, room1 = capacity * window, cost * window
  local amount = tokens and room1 or cost
  said = said + 1
  reply[said] = packNumbers("<d", blocks and 1 or 0)
  for i = 1, blocks and count or 0 do
    blocks[i] = (blocks[i] or 0) + 0
    said = said + 1
    reply[said] = packNumbers("<d", blocks[i])
  end
  said = said + 1
  reply[said] = packNumbers("<d", start)
  local fields, n, earlier = {}, 0, nil
  for i = 1, count do
    local record = records[i]
    if not record or #record ~= RECORD_BYTES then
      earlier = earlier or before and call("HMGET", before, unpack(ARGV, first, last)) or {}
      record = carry(algorithm, earlier[i])
    end
    said = said + 1
    reply[said] = record
    -- As roomOf and charge do, calls of which for each record would cost a tenth of the time of the script.
    local charged, second = unpackNumbers("<dd", record)
    local room
    if not tokens then
      room = full - charged * window - second * weight
    else
      if second > latest then
        charged, second = 0, time
      elseif second < time then
        charged, second = charged - (time - second) * limit, time
        charged = charged > 0 and charged or 0
      end
      room = full - charged
    end
    if takes then
      if room >= room1 and not (blocks and blocks[i] > now) then
        local asked = times[i]
        local granted = 1
        if asked then
          granted = floor(room / room1)
          granted = granted < asked and granted or asked
        end
        fields[n + 1], fields[n + 2] = ARGV[first + i - 1], packNumbers("<dd", charged + granted * amount, second)
        n = n + 2
      end
    elseif operation == REFUND and record ~= NONE then
      fields[n + 1], fields[n + 2] = ARGV[first + i - 1], charge(charged, second, tokens, -(times[i] or 1) * amount)
      n = n + 2
    end
  end
  if n > 0 then
    if not isHeld then
      beginGeneration(generation, hash, other, before, span)
    end
    call("HSET", hash, unpack(fields, 1, n))
  end
  key, arg = key + 3, last + 2 * repeated
end
return table.concat(reply)
