-- Decides calls of providers against their quotas, in order, and counts those that are within them.
--
-- KEYS[*] keys: for each call its entry (a hash, see apply-snapshot) and its dirty index (a sorted set); then the
-- records of the calls that have an idempotency key (strings)
-- ARGV[1] missingLimit: limit of a provider without a document, -1 for none
-- ARGV[2] recordTtlMs: how long a record is kept, milliseconds
-- ARGV[*] calls: for each call its cost (an integer; negative to refund), its provider id, and the index of its record
-- in KEYS, or 0
--
-- Returns: flat array, for each call 1 accepted, 0 refused, -1 the quota must be read from Firestore or -2 the key is no
-- entry; then used and limit after it, and 1 if there is a document. A call whose record is there has the first's answer.
-- Writes: for an accepted call p of its entry, the dirty index and the record; nothing else
-- TTL: entries none, records recordTtlMs
local missingLimit = tonumber(ARGV[1])
local recordTtlMs = ARGV[2]

local time = redis.call("TIME")
local nowMs = time[1] * 1000 + math.floor(time[2] / 1000)
local reply = {}

local function consume(entry, dirty, cost, providerId)
  local known = redis.pcall("HMGET", entry, "u", "l", "p", "f", "v", "x", "i")
  if known.err then
    return -2, 0, 0, 0
  elseif known[6] or not known[5] then
    return -1, 0, 0, 0
  end
  local limit, found = tonumber(known[2] or missingLimit), known[2] and 1 or 0
  -- A reset can leave more refunds in flight than there is to refund; the flush stops at 0 too.
  local used = math.max(0, (known[1] or 0) + (known[4] or 0)) + (known[3] or 0)
  if cost > 0 and used + cost > limit then
    return 0, used, limit, found
  end
  local charge = math.max(cost, -used)
  if charge ~= 0 then
    redis.call("HINCRBY", entry, "p", charge)
    if not known[3] and not known[7] then
      redis.call("PERSIST", entry)
      redis.call("ZADD", dirty, "NX", nowMs, providerId)
    end
  end
  return 1, used + charge, limit, found
end

for call = 1, (#ARGV - 2) / 3 do
  local entry, dirty = KEYS[2 * call - 1], KEYS[2 * call]
  local cost, providerId, record = tonumber(ARGV[3 * call]), ARGV[3 * call + 1], KEYS[tonumber(ARGV[3 * call + 2])]
  local first = record and redis.call("GET", record)
  local answer
  if first then
    answer = {}
    for number in string.gmatch(first, "[^:]+") do
      answer[#answer + 1] = tonumber(number)
    end
  else
    answer = { consume(entry, dirty, cost, providerId) }
    if record and answer[1] == 1 then
      redis.call("SET", record, string.format("%.0f:%.0f:%.0f:%.0f", unpack(answer)), "PX", recordTtlMs)
    end
  end
  for i = 1, 4 do
    reply[4 * call - 4 + i] = answer[i]
  end
end
return reply
