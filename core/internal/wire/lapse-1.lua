-- SPDX-License-Identifier: Apache-2.0
--
-- Removes, in one slice of the leases, those that have expired, or seem to last for
-- longer than they were given, by their last word, or for days where they have none:
-- a clock that has been set back since gave their deadline. Who lives takes its index
-- again. What is no lease goes as well. A field of another kind may be a later
-- release's, and stays unless there are too many.
--
-- KEYS 1  the app's leases
-- ARGV 1  cursor of the slice, 0 at first
--      2  about how many fields
-- Returns {cursor of the next slice or 0, how much was damaged}
--
-- Twice is safe: each entry is looked at here and now. A lease's owner may still
-- take its index again if it is free then.

local MANY = 10000 -- fields, as leases that a page shows
local DAY = 24 * 60 * 60 * 1000 -- no lease is given for that long
local MAX_ENTRY, MAX_INDEX, WHOLE = 4096, 2147483647, 9007199254740992
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- index_of gives the number of an index if it is written plainly.
local function index_of(field)
  local k = tonumber(string.match(field, '^i:(%d+)$') or '')
  return k and k <= MAX_INDEX and 'i:' .. string.format('%.0f', k) == field
end

local slice = redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
local list, gone, damaged = slice[2], {}, 0
local crowded = redis.call('HLEN', KEYS[1]) > MANY
for i = 1, #list, 2 do
  local field, entry = list[i], list[i + 1]
  local deadline, ttl
  if index_of(field) and #entry <= MAX_ENTRY then
    deadline = tonumber(string.match(entry, '^%S+ (%d+) %S+ %S+ %S+ %S+') or '')
    ttl = math.min(DAY, tonumber(string.match(entry, '^%S+ %d+ %S+ %S+ %S+ %S+ (%d+)') or '') or DAY)
  end
  if deadline and deadline < WHOLE then
    if deadline <= now or deadline > now + ttl then gone[#gone + 1] = field end
  elseif string.sub(field, 1, 2) == 'i:' or crowded and field ~= 'lineage' and field ~= 'housekept' then
    damaged = damaged + 1
    gone[#gone + 1] = field
  end
end
for from = 1, #gone, 2000 do
  redis.call('HDEL', KEYS[1], unpack(gone, from, math.min(from + 1999, #gone)))
end
return {slice[1], damaged}
