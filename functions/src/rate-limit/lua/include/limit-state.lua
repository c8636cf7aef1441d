-- What requests do to the state of one limit: time (Unix ms), charged, before. The twin of limit-algorithms.ts.
local floor, max, ceil = math.floor, math.max, math.ceil
local FIXED, TOKENS, PEEK, REFUND = 1, 3, 0, 2
local clock = redis.call("TIME")
local now = clock[1] * 1000 + floor(clock[2] / 1000)

-- The state now, and how many requests of that cost it has room for.
local function advance(algorithm, limit, window, capacity, cost, time, charged, before)
  if algorithm == TOKENS then
    if time < now then
      charged, time = charged - (now - time) * limit, now
      if charged < 0 then
        charged = 0
      end
    end
    return time, charged, before, (capacity * window - charged) / (cost * window)
  end
  local start = now - now % window
  if time < start then
    before = time == start - window and charged or 0
    time, charged = start, 0
  end
  if algorithm == FIXED then
    return time, charged, before, (capacity - charged) / cost
  end
  local weight = now > time and window - now + time or window
  return time, charged, before, ((capacity - charged) * window - before * weight) / (cost * window)
end

-- The state after a cost (refunded if below 0), until when it is needed, and until when it is kept: a bucket for longer,
-- so that not every request has to prolong it.
local function charge(algorithm, limit, window, capacity, cost, time, charged, before)
  charged = charged + (algorithm == TOKENS and cost * window or cost)
  if charged < 0 then
    -- What is refunded beyond this window is refunded to the one before.
    charged, before = 0, max(0, before + charged)
  end
  if algorithm ~= TOKENS then
    local untilMs = time + algorithm * window
    return charged, before, untilMs, untilMs
  end
  limit = limit > 0 and limit or 1
  return charged, before, now + ceil(charged / limit), now + 2 * ceil(capacity * window / limit)
end

-- How many of the requests for an entry are counted; below 0 if they are refunded.
local function grant(operation, times, roomFor, exists, blockedUntil)
  if operation == REFUND then
    return exists and -times or 0
  elseif operation == PEEK or roomFor < 1 or blockedUntil > now then
    return 0
  end
  return roomFor < times and floor(roomFor) or times
end
