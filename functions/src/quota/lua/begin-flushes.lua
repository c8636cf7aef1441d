-- Begins to flush the pending usage of providers to Firestore: moves it in flight under a new flush id. A flush that has
-- begun already is returned as it is, to be resumed.
--
-- KEYS[*] keys: the providers' entries (strings, see apply-snapshot); then their dirty indexes (sorted sets)
-- ARGV[1] ttlMs: life of an entry that turns out to be clean, milliseconds
-- ARGV[*] providerIds: the providers, in the order of the keys
--
-- Returns: flat array, for each provider flush id (microseconds since the epoch; 0 if there is nothing to flush),
-- amount, version, used, and limit: -1 for a provider without a document, -2 if used and limit are not known
-- Writes: entries: pending usage moves in flight; the dirty index where there is nothing to flush
-- TTL: none, or ttlMs for a clean entry
local ttlMs = ARGV[1]

local CLEAN_BYTES, DIRTY_BYTES = 32, 48
local count = #ARGV - 1
local time = redis.call("TIME")
local nowUs = time[1] * 1000000 + time[2]
local known = redis.call("MGET", unpack(KEYS, 1, count))
local reply = {}
for i = 1, count do
  local entry, dirty, packed = KEYS[i], KEYS[count + i], known[i]
  local used, limit, version, flushId, pending, inFlight = 0, 0, 0, 0, 0, 0
  if packed and #packed == DIRTY_BYTES then
    used, limit, version, flushId, pending, inFlight = struct.unpack("<dddddd", packed)
  end
  if inFlight == 0 then
    if pending ~= 0 then
      flushId, inFlight = math.max(nowUs, flushId + 1), pending
      -- A full server refuses to begin with SET, but not to go on with it.
      redis.call("DEL", entry)
      redis.call("SET", entry, struct.pack("<dddddd", used, limit, version, flushId, 0, inFlight))
    else
      flushId = 0
      if packed and (#packed == CLEAN_BYTES or #packed == DIRTY_BYTES) and redis.call("PTTL", entry) == -1 then
        redis.call("PEXPIRE", entry, ttlMs)
      end
      -- Also where the key holds no quota: the others are not to wait for it.
      redis.call("ZREM", dirty, ARGV[1 + i])
    end
  end
  local at = 5 * (i - 1)
  reply[at + 1], reply[at + 2], reply[at + 3], reply[at + 4], reply[at + 5] = flushId, inFlight, version, used, limit
end
return reply
