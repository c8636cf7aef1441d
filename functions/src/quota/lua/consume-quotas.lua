-- Decides calls of providers against their quotas, in order, and counts those that are within them.
--
-- KEYS[*] keys: the calls' entries (strings, see apply-snapshot); then all their dirty indexes (sorted sets); last the
-- records of the calls that have an idempotency key (strings)
-- ARGV[1] missingLimit: limit of a provider without a document, -1 for none
-- ARGV[2] recordTtlMs: how long a record is kept, milliseconds
-- ARGV[3] count: number of calls
-- ARGV[*] calls: each call's cost (an integer; negative to refund); then of each record the number of its call, from 1
--
-- Returns: flat array, for each call used after it, or -1 - used if it is refused; then limit: -1 for a provider without
-- a document, -2 for a quota that must be read from Firestore. A call whose record is there has the first's answer.
-- Writes: for an accepted call its entry, the dirty index and the record; nothing else
-- TTL: entries none once anything is counted, records recordTtlMs
local missingLimit = tonumber(ARGV[1])
local recordTtlMs = ARGV[2]
local count = tonumber(ARGV[3])
local call, unpackNumbers, packNumbers = redis.call, struct.unpack, struct.pack
local BYTES = 56

local entries = call("MGET", unpack(KEYS, 1, count))
-- What calls of this batch have made of entries, and those that had nothing to flush before.
local written, madeDirty = {}, {}

local function consume(key, entry, cost)
  if not entry or #entry ~= BYTES then
    return 0, -2
  end
  local pending, base, inFlight, limit, version, flushId, marker = unpackNumbers("<ddddddd", entry)
  local allowed = limit
  if limit < 0 then
    if limit == -2 then
      return 0, -2
    end
    allowed = missingLimit
  end
  local used = base + inFlight
  -- A reset can leave more refunds in flight than there is to refund; the flush stops at 0 too.
  used = (used > 0 and used or 0) + pending
  local after = used + cost
  if after > allowed and cost > 0 then
    return -1 - used, limit
  elseif after < 0 then
    after = 0
  end
  if after ~= used then
    if pending == 0 and flushId == 0 then
      madeDirty[#madeDirty + 1] = key
    end
    written[key] = packNumbers("<ddddddd", pending + after - used, base, inFlight, limit, version, flushId, marker)
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
    used, limit = used + 0, limit + 0
  else
    local key = KEYS[i]
    used, limit = consume(key, written[key] or entries[i], ARGV[3 + i] + 0)
    if record and used >= 0 and limit ~= -2 then
      call("SET", record, string.format("%.0f:%.0f", used, limit), "PX", recordTtlMs)
    end
  end
  reply[2 * i - 1], reply[2 * i] = used, limit
end

local changes = {}
for key, entry in pairs(written) do
  changes[#changes + 1], changes[#changes + 2] = key, entry
end
if #changes > 0 then
  -- Without a TTL, as Firestore lacks the usage.
  call("MSET", unpack(changes))
end
if #madeDirty > 0 then
  local time = call("TIME")
  local nowMs = time[1] * 1000 + math.floor(time[2] / 1000)
  for _, key in ipairs(madeDirty) do
    -- Both keys begin with the bucket in braces, and what follows the entry's ":q:" is the provider's id.
    local bucket = string.match(key, "^[^}]*}")
    call("ZADD", bucket .. ":dirty", "NX", nowMs, string.sub(key, #bucket + 4))
  end
end
return reply
