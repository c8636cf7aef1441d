-- Begins to flush the pending usage of providers to Firestore: moves it in flight under a new flush id. A flush that has
-- begun already is returned as it is, to be resumed.
--
-- KEYS[*] keys: for each provider its entry (a string, see apply-snapshot) and its dirty index (a sorted set)
-- ARGV[1] ttlMs: life of an entry that turns out to be clean, milliseconds
-- ARGV[*] providerIds: the providers, in the order of the keys
--
-- Returns: flat array, for each provider flush id (microseconds since the epoch; 0 if there is nothing to flush),
-- amount, version, used, and limit: -1 for a provider without a document, -2 if used and limit are not known
-- Writes: entries: pending moves to in flight; the dirty index where there is nothing to flush
-- TTL: none, or ttlMs for a clean entry
local ttlMs = ARGV[1]

local BYTES = 56
local time = redis.call("TIME")
local nowUs = time[1] * 1000000 + time[2]
local reply = {}
for i = 2, #ARGV do
  local providerId = ARGV[i]
  local key, dirty = KEYS[2 * (i - 1) - 1], KEYS[2 * (i - 1)]
  local entry = redis.pcall("GET", key)
  local pending, used, inFlight, limit, version, flushId, marker = 0, 0, 0, 0, 0, 0, 0
  if type(entry) == "string" and #entry == BYTES then
    pending, used, inFlight, limit, version, flushId, marker = struct.unpack("<ddddddd", entry)
    if flushId == 0 and pending ~= 0 then
      flushId, inFlight, pending = math.max(nowUs, marker + 1), pending, 0
      -- A full Redis takes what follows upon this.
      redis.call("DEL", key)
      redis.call("SET", key, struct.pack("<ddddddd", pending, used, inFlight, limit, version, flushId, marker))
    elseif flushId == 0 and redis.call("PTTL", key) == -1 then
      redis.call("PEXPIRE", key, ttlMs)
    end
  end
  if flushId == 0 then
    -- Also if the key is no entry: the others are not to wait for it.
    redis.call("ZREM", dirty, providerId)
  end
  local at = 5 * (i - 2)
  reply[at + 1], reply[at + 2], reply[at + 3], reply[at + 4], reply[at + 5] = flushId, inFlight, version, used, limit
end
return reply
