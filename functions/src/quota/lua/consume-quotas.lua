-- Decides calls of providers against their quotas, in order, and counts those that are within them.
--
-- KEYS[*] keys: the calls' entries (strings, see apply-snapshot); then all their dirty indexes (sorted sets); last the
-- records (strings) of the calls that have an idempotency key, and of what their refunds take back
-- ARGV[1] missingLimit: limit of a provider without a document, -1 for none
-- ARGV[2] recordTtlMs: how long a record is kept, milliseconds
-- ARGV[3] count: number of calls
-- ARGV[*] calls: each call's cost (an integer; negative to refund); then of each record the number of its call, from 1,
-- or negative for the record of what that call, a refund, takes back
--
-- Returns: string of doubles, for each call used after it, or -1 - used if it is rejected; then limit: -1 for a provider
-- without a document, -2 for a quota that must be read from Firestore. Then, for each call with a record of its own, in
-- the order of the records: 0; 1 if this is the answer of an earlier call; or 2 if its key came with another cost, which
-- is then in place of used
-- Writes: for an accepted call the pending usage of its entry, the dirty index and the record; nothing else
-- TTL: entries none, records recordTtlMs
-- Include: count-usage
local missingLimit = tonumber(ARGV[1])
local recordTtlMs = ARGV[2]
local count = tonumber(ARGV[3])
local known = call("MGET", unpack(KEYS, 1, count))

local records, consumptions, keyed = {}, {}, {}
local recordsBefore = #KEYS - (#ARGV - 3 - count)
for i = 1, #ARGV - 3 - count do
  local number, record = tonumber(ARGV[3 + count + i]), KEYS[recordsBefore + i]
  if number > 0 then
    records[number], keyed[#keyed + 1] = record, number
  else
    consumptions[-number] = record
  end
end

-- Decides a call with a key (see assessKey in call-records.ts); also returns what becomes of its key, as in the reply.
local function consumeOnce(i, cost)
  local first = call("GET", records[i])
  if first then
    local firstCost, used, limit = string.match(first, "^(.+):(.+):(.+)$")
    if tonumber(firstCost) ~= cost then
      return firstCost, limit, 2
    end
    return used, limit, 1
  end
  local consumed
  if consumptions[i] then
    consumed = tonumber(string.match(call("GET", consumptions[i]) or "0", "^[^:]+"))
    if consumed > 0 and -cost > consumed then
      return consumed, 0, 2
    end
  end
  local used, limit = consume(KEYS[i], changed[KEYS[i]] or known[i], consumed == 0 and 0 or cost, missingLimit)
  if limit == NOT_KNOWN then
    return used, limit, 0
  elseif consumed == 0 then
    return -1 - used, limit, 0
  elseif used >= 0 then
    call("SET", records[i], string.format("%.0f:%.0f:%.0f", cost, used, limit), "PX", recordTtlMs)
  end
  return used, limit, 0
end

local reply, fates = {}, {}
for i = 1, count do
  local key, cost = KEYS[i], ARGV[3 + i] + 0
  if records[i] then
    reply[2 * i - 1], reply[2 * i], fates[i] = consumeOnce(i, cost)
  else
    reply[2 * i - 1], reply[2 * i] = consume(key, changed[key] or known[i], cost, missingLimit)
  end
end
for i = 1, #keyed do
  reply[2 * count + i] = fates[keyed[i]]
end
if written > 0 then
  -- Without a TTL, as Firestore lacks the usage.
  call("MSET", unpack(writes))
end
return packNumbers("<" .. string.rep("d", #reply), unpack(reply))
