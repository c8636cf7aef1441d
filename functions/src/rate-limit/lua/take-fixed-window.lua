-- Decides one request against the fixed windows of a policy, all or nothing, and counts it if every one allows it.
--
-- KEYS[*] counters: string, one per limit: cost charged in its current window
-- ARGV[1] cost: positive integer
-- ARGV[2] charge: 1 to count an allowed request, 0 to only look
-- ARGV[*] limits: limit, then windowMs (milliseconds), for each counter in turn
--
-- Returns: flat array: 1 allowed or 0 refused; Redis's time, Unix ms; then for each counter its count now and the ms until
-- its window ends (the whole window if it has not begun)
-- Writes: each counter, only if all allow and charge is 1
-- TTL: windowMs, set with the first request of a window; a counter found without one counts as absent
local cost = tonumber(ARGV[1])
local charge = ARGV[2] == "1"
local limits = {}
for i = 3, #ARGV do
  limits[i - 2] = tonumber(ARGV[i])
end

local time = redis.call("TIME")
local reply = { 1, time[1] * 1000 + math.floor(time[2] / 1000) }
for i, key in ipairs(KEYS) do
  local count, ttl = 0, redis.call("PTTL", key)
  if ttl >= 0 then
    count = tonumber(redis.call("GET", key))
  end
  if count + cost > limits[2 * i - 1] then
    reply[1] = 0
  end
  reply[2 * i + 1] = count
  reply[2 * i + 2] = ttl
end

for i, key in ipairs(KEYS) do
  local ttl, window = reply[2 * i + 2], limits[2 * i]
  if reply[1] == 1 and charge then
    reply[2 * i + 1] = reply[2 * i + 1] + cost
    if ttl >= 0 then
      redis.call("INCRBY", key, cost)
    else
      redis.call("SET", key, cost, "PX", window)
    end
  end
  if ttl < 0 then
    reply[2 * i + 2] = window
  end
end
return reply
