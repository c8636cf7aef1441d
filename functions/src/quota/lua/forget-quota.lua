-- Drops what an entry knows of its document, so that the next check reads Firestore. Its usage and version stay.
--
-- KEYS[1] entry: string of doubles (see apply-snapshot)
--
-- Returns: 1, or 0 if the provider has no document but has usage: flush it instead, which creates the document and
-- refreshes the entry
-- Writes: entry
-- TTL: as it was
local entry = KEYS[1]

local CLEAN_BYTES, DIRTY_BYTES = 32, 48
local NO_DOCUMENT, NOT_KNOWN = -1, -2
local packed = redis.call("GET", entry)
if not packed or (#packed ~= CLEAN_BYTES and #packed ~= DIRTY_BYTES) then
  return 1
end
local _, limit = struct.unpack("<dd", packed)
if limit == NO_DOCUMENT and #packed == DIRTY_BYTES then
  return 0
end
redis.call("SETRANGE", entry, 0, struct.pack("<dd", 0, NOT_KNOWN))
return 1
