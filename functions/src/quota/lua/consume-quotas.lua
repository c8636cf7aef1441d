-- Decides calls of providers against their quotas, in order, and counts those that are within them.
--
-- KEYS[*] keys: the calls' entries (strings, see apply-snapshot); then all their dirty indexes (sorted sets); last the
-- records of the calls that have an idempotency key (strings)
-- ARGV[1] missingLimit: limit of a provider without a document, -1 for none
-- ARGV[2] recordTtlMs: how long a record is kept, milliseconds
-- ARGV[3] count: number of calls
-- ARGV[*] calls: each call's cost (an integer; negative to refund); then of each record the number of its call, from 1
--
-- Returns: string of doubles, for each call used after it, or -1 - used if it is refused; then limit: -1 for a provider
-- without a document, -2 for a quota that must be read from Firestore. A call whose record is there has the first's
-- answer.
-- Writes: for an accepted call the pending usage of its entry, the dirty index and the record; nothing else
-- TTL: entries none, records recordTtlMs
local missingLimit = tonumber(ARGV[1])
local recordTtlMs = ARGV[2]
local count = tonumber(ARGV[3])
local call, packNumbers, unpackNumbers = redis.call, struct.pack, struct.unpack

local LAYOUT, CLEAN_BYTES, DIRTY_BYTES = "<dddddd", 32, 48
local NOTHING_PENDING = string.rep("\0", DIRTY_BYTES - CLEAN_BYTES)
local NOT_KNOWN = -2
local known = call("MGET", unpack(KEYS, 1, count))
-- What the calls so far have changed, by key; and in order, for MSET, in which the last of a key prevails.
local changed, writes, written = {}, {}, 0

local function markDirty(key)
  -- Both keys begin with the bucket in braces, and what follows the entry's ":q:" is the provider's id.
  local bucket = string.match(key, "^[^}]*}")
  local time = call("TIME")
  local nowMs = time[1] * 1000 + math.floor(time[2] / 1000)
  call("ZADD", bucket .. ":dirty", "NX", nowMs, string.sub(key, #bucket + 4))
end

local function consume(key, entry, cost)
  local bytes = entry and #entry
  if bytes == CLEAN_BYTES then
    entry = entry .. NOTHING_PENDING
  elseif bytes ~= DIRTY_BYTES then
    return 0, NOT_KNOWN
  end
  local stored, limit, version, flushId, pending, inFlight = unpackNumbers(LAYOUT, entry)
  if limit == NOT_KNOWN then
    return 0, NOT_KNOWN
  end
  local used = stored + inFlight
  if used < 0 then
    -- A reset can leave more refunds in flight than there is to refund; the flush stops at 0 too.
    used = 0
  end
  used = used + pending
  local after = used + cost
  if cost > 0 and after > (limit < 0 and missingLimit or limit) then
    return -1 - used, limit
  elseif after < 0 then
    after = 0
  end
  if after ~= used then
    -- What is in flight keeps an entry dirty.
    if pending == 0 and inFlight == 0 then
      markDirty(key)
    end
    entry = packNumbers(LAYOUT, stored, limit, version, flushId, pending + after - used, inFlight)
    changed[key], writes[written + 1], writes[written + 2] = entry, key, entry
    written = written + 2
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
  local key, record = KEYS[i], records[i]
  local first = record and call("GET", record)
  local used, limit
  if first then
    used, limit = string.match(first, "^(.+):(.+)$")
  else
    used, limit = consume(key, changed[key] or known[i], ARGV[3 + i] + 0)
    if record and used >= 0 and limit ~= NOT_KNOWN then
      call("SET", record, string.format("%.0f:%.0f", used, limit), "PX", recordTtlMs)
    end
  end
  reply[2 * i - 1], reply[2 * i] = used, limit
end
if written > 0 then
  -- Without a TTL, as Firestore lacks the usage.
  call("MSET", unpack(writes))
end
return packNumbers("<" .. string.rep("d", 2 * count), unpack(reply))
