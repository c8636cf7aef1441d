-- Decides calls of providers against their quotas, in order, and counts those that are within them.
--
-- KEYS[*] keys: the calls' entries (hashes, see apply-snapshot); then all their dirty indexes (sorted sets); last the
-- records of the calls that have an idempotency key (strings)
-- ARGV[1] missingLimit: limit of a provider without a document, -1 for none
-- ARGV[2] recordTtlMs: how long a record is kept, milliseconds
-- ARGV[3] count: number of calls
-- ARGV[*] calls: each call's cost (an integer; negative to refund); then of each record the number of its call, from 1
--
-- Returns: flat array, for each call used after it, or -1 - used if it is refused; then limit: -1 for a provider without
-- a document, -2 for a quota that must be read from Firestore, -3 for a key that is no entry. A call whose record is there
-- has the first's answer.
-- Writes: for an accepted call p of its entry, the dirty index and the record; nothing else
-- TTL: entries none, records recordTtlMs
local missingLimit = tonumber(ARGV[1])
local recordTtlMs = ARGV[2]
local count = tonumber(ARGV[3])
local call, tryCall = redis.call, redis.pcall

local function markDirty(entry)
  -- Both keys begin with the bucket in braces, and what follows the entry's ":q:" is the provider's id.
  local bucket = string.match(entry, "^[^}]*}")
  local time = call("TIME")
  local nowMs = time[1] * 1000 + math.floor(time[2] / 1000)
  call("PERSIST", entry)
  call("ZADD", bucket .. ":dirty", "NX", nowMs, string.sub(entry, #bucket + 4))
end

local function consume(entry, cost)
  local known = tryCall("HMGET", entry, "u", "l", "p", "f")
  local used, limit, pending, inFlight = known[1], known[2], known[3], known[4]
  local allowed = limit
  if not used then
    if known.err then
      return 0, -3
    end
    local state = call("HMGET", entry, "v", "x")
    if state[2] or not state[1] then
      return 0, -2
    end
    used, limit, allowed = 0, -1, missingLimit
  end
  if inFlight then
    -- A reset can leave more refunds in flight than there is to refund; the flush stops at 0 too.
    used = math.max(0, used + inFlight)
  end
  used = used + (pending or 0)
  local after = used + cost
  -- Arithmetic makes numbers of strings for less than tonumber().
  if after > allowed + 0 and cost + 0 > 0 then
    return -1 - used, limit
  elseif after < 0 then
    cost, after = -used, 0
  end
  if after ~= used then
    call("HINCRBY", entry, "p", cost)
    -- What is in flight keeps an entry dirty, and has an amount.
    if not pending and not inFlight then
      markDirty(entry)
    end
  end
  return after, limit
end

local records = {}
local recordsBefore = #KEYS - (#ARGV - 3 - count)
for i = 1, #ARGV - 3 - count do
  records[tonumber(ARGV[3 + count + i])] = KEYS[recordsBefore + i]
end
local reply = {}
for i = 1, count do
  local record = records[i]
  local first = record and call("GET", record)
  local used, limit
  if first then
    used, limit = string.match(first, "^(.+):(.+)$")
  else
    used, limit = consume(KEYS[i], ARGV[3 + i])
    if record and used >= 0 and limit + 0 >= -1 then
      call("SET", record, string.format("%.0f:%.0f", used, limit), "PX", recordTtlMs)
    end
  end
  reply[2 * i - 1], reply[2 * i] = used + 0, limit + 0
end
return reply
