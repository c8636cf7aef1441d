-- Begins to flush the pending usage of providers to Firestore: moves it in flight under a new flush id. A flush that has
-- begun already is returned as it is, to be resumed.
--
-- KEYS[*] keys: for each provider its entry (a hash, see apply-snapshot) and its dirty index (a sorted set)
-- ARGV[1] ttlMs: life of an entry that turns out to be clean, milliseconds
-- ARGV[*] providerIds: the providers, in the order of the keys
--
-- Returns: flat array, for each provider flush id (microseconds since the epoch; 0 if there is nothing to flush),
-- amount, version, used, and limit: -1 for a provider without a document, -2 if used and limit are not known
-- Writes: entries: p moves to f under i; the dirty index where there is nothing to flush
-- TTL: none, or ttlMs for a clean entry
local ttlMs = ARGV[1]

local time = redis.call("TIME")
local nowUs = time[1] * 1000000 + time[2]
local reply = {}
for i = 2, #ARGV do
  local providerId = ARGV[i]
  local entry, dirty = KEYS[2 * (i - 1) - 1], KEYS[2 * (i - 1)]
  local known = redis.pcall("HMGET", entry, "i", "f", "v", "u", "l", "p", "m", "x")
  local flushId, amount = tonumber(known[1] or 0), tonumber(known[2] or 0)
  if known.err then
    -- The key is no entry: there is nothing to flush, and the others are not to wait for it.
    redis.call("ZREM", dirty, providerId)
  elseif flushId == 0 then
    amount = tonumber(known[6] or 0)
    redis.call("HDEL", entry, "p")
    if amount == 0 then
      if redis.call("PTTL", entry) == -1 then
        redis.call("PEXPIRE", entry, ttlMs)
      end
      redis.call("ZREM", dirty, providerId)
    else
      flushId = math.max(nowUs, tonumber(known[7] or 0) + 1)
      redis.call("HSET", entry, "i", flushId, "f", amount)
    end
  end
  local limit = tonumber(known[5] or (known[8] and -2 or -1))
  local at = 5 * (i - 2)
  reply[at + 1], reply[at + 2], reply[at + 3] = flushId, amount, tonumber(known[3] or 0)
  reply[at + 4], reply[at + 5] = tonumber(known[4] or 0), limit
end
return reply
