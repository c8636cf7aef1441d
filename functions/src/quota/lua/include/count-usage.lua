-- Counts usage in providers' entries (strings, see apply-snapshot). The script writes what has changed.
local call, packNumbers, unpackNumbers = redis.call, struct.pack, struct.unpack
local LAYOUT, CLEAN_BYTES, DIRTY_BYTES = "<dddddd", 32, 48
local NOTHING_PENDING = string.rep("\0", DIRTY_BYTES - CLEAN_BYTES)
local NOT_KNOWN = -2
-- What the calls so far have changed, by key; and in order, for MSET, in which the last of a key prevails.
local changed, writes, written = {}, {}, 0

local function markDirty(key)
  -- Both keys begin with the bucket in braces, and what follows the entry's ":q:" is the provider's id.
  local bucket = string.match(key, "^[^}]*}")
  local time = call("TIME")
  local nowMs = time[1] * 1000 + math.floor(time[2] / 1000)
  call("ZADD", bucket .. ":dirty", "NX", nowMs, string.sub(key, #bucket + 4))
end

-- Decides a call by an entry, and returns used, or -1 - used if the call is rejected; and the limit.
local function consume(key, entry, cost, missingLimit)
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
