-- Decides calls of providers against their quotas, in order, and counts those that are within them.
--
-- KEYS[*] keys: the calls' entries (hashes, see apply-snapshot); then all their dirty indexes (sorted sets); last the
-- records of the calls that have an idempotency key (strings)
-- ARGV[1] missingLimit: limit of a provider without a document, -1 for none
-- ARGV[2] recordTtlMs: how long a record is kept, milliseconds
-- ARGV[3] count: number of calls
-- ARGV[*] calls: each call's cost (an integer; negative to refund); then of each record the number of its call, from 1
--
-- Returns: flat array, for each call 1 accepted, 0 refused, or both plus 2 if there is no document, -1 the quota must be
-- read from Firestore or -2 the key is no entry; then used and limit after it. A call whose record is there has the
-- first's answer.
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
  local used, limit, pending, inFlight, missing = known[1], known[2], known[3], known[4], 0
  if not used then
    if known.err then
      return -2, 0, 0
    end
    local state = call("HMGET", entry, "v", "x")
    if state[2] or not state[1] then
      return -1, 0, 0
    end
    used, limit, missing = 0, missingLimit, 2
  end
  if inFlight then
    -- A reset can leave more refunds in flight than there is to refund; the flush stops at 0 too.
    used = math.max(0, used + inFlight)
  end
  used, limit = used + (pending or 0), tonumber(limit)
  local after = used + cost
  if after > limit and tonumber(cost) > 0 then
    return missing, used, limit
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
  return 1 + missing, after, limit
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
  local outcome, used, limit
  if first then
    outcome, used, limit = string.match(first, "^(.+):(.+):(.+)$")
    outcome, used, limit = tonumber(outcome), tonumber(used), tonumber(limit)
  else
    outcome, used, limit = consume(KEYS[i], ARGV[3 + i])
    if record and (outcome == 1 or outcome == 3) then
      call("SET", record, string.format("%.0f:%.0f:%.0f", outcome, used, limit), "PX", recordTtlMs)
    end
  end
  local at = 3 * i
  reply[at - 2], reply[at - 1], reply[at] = outcome, used, limit
end
return reply
