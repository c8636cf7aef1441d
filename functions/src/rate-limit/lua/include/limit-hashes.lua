-- The records of a limit, and the two hashes that hold them. Time is cut into generations, as long as a record is needed: a
-- window, or as many as a bucket takes to drain. The hashes take turns. Their field "" says which generation they hold, in
-- a string too long for a listpack, so that any record is found in constant time.
local KEYS, ARGV = KEYS, ARGV
local call, floor, max = redis.call, math.floor, math.max
local packNumbers, unpackNumbers = struct.pack, struct.unpack
local clock = redis.call("TIME")
local now = clock[1] * 1000 + floor(clock[2] / 1000)
local FIXED, TOKENS, TAKE, REFUND = 1, 3, 1, 2
local HEADER_BYTES, RECORD_BYTES = 72, 16
local NONE = packNumbers("<dd", 0, 0)

-- All arguments are numbers but the subjects, and "" is the field of the header.
for i = 1, #ARGV do
  if ARGV[i] == "" then
    return redis.error_reply("ERR A subject is empty")
  end
end

local function generationOf(hash)
  local header = redis.pcall("HGET", hash, "")
  return type(header) == "string" and #header == HEADER_BYTES and unpackNumbers("<d", header) or -1
end

-- The current generation, its hash, whether that holds it, the other hash, and that again if its records still count. A
-- clock that was set back stays in the next generation. If a hash is of a later one, a wrong clock has been corrected:
-- nothing counts.
local function openHashes(key, span, algorithm)
  local generation = floor(now / span)
  local hash, other = KEYS[key + generation % 2], KEYS[key + 1 - generation % 2]
  local held, before = generationOf(hash), generationOf(other)
  if max(held, before) > generation + 1 then
    return generation, hash, false, other, false
  end
  if before > generation then
    hash, other, held, before = other, hash, before, held
  end
  generation = max(generation, held)
  return generation, hash, held == generation, other, algorithm ~= FIXED and before == generation - 1 and other
end

-- Has the hash hold a generation, and frees those whose records no longer count.
local function beginGeneration(generation, hash, other, before, span)
  call("UNLINK", hash)
  if not before then
    call("UNLINK", other)
  end
  call("HSET", hash, "", packNumbers("<d", generation) .. string.rep("\0", HEADER_BYTES - 8))
  call("PEXPIREAT", hash, (generation + 3) * span)
end

-- Until when each subject of a group is blocked, or false.
local function blocksOf(key, first, last)
  return call("EXISTS", KEYS[key]) == 1 and call("ZMSCORE", KEYS[key], unpack(ARGV, first, last))
end

-- How many requests there are for the subjects of a group that have more than one, by their places in it.
local function timesOf(after, subjects)
  local times = {}
  for arg = after + 1, after + 2 * subjects, 2 do
    times[ARGV[arg] + 0] = ARGV[arg + 1] + 0
  end
  return times
end

-- The record of a subject in the generation under way, by that of the one before: a window has all that was charged in it.
local function carry(algorithm, record)
  if not record or #record ~= RECORD_BYTES or algorithm == FIXED then
    return NONE
  end
  return algorithm == TOKENS and record or packNumbers("<dd", 0, (unpackNumbers("<d", record)))
end

-- What a record holds now, and how much room it leaves: in tokens times window, or for windows in cost times window. A
-- bucket's record of a wrong clock, since corrected, holds nothing.
local function roomOf(record, tokens, limit, window, time, latest, weight, full)
  local charged, other = unpackNumbers("<dd", record)
  if not tokens then
    return charged, other, full - charged * window - other * weight
  end
  if other > latest then
    charged, other = 0, time
  elseif other < time then
    charged, other = charged - (time - other) * limit, time
    charged = charged > 0 and charged or 0
  end
  return charged, other, full - charged
end

-- The record after a charge; of a refund, what exceeds this window is taken from the one before.
local function charge(charged, other, tokens, amount)
  charged = charged + amount
  if charged < 0 then
    charged, other = 0, tokens and other or max(0, other + charged)
  end
  return packNumbers("<dd", charged, other)
end
