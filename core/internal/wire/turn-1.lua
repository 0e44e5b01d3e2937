-- SPDX-License-Identifier: Apache-2.0
--
-- Takes the turn to keep house, unless somebody took it lately, and then
-- removes the leases that have expired, or seem to last for longer than they were
-- given, by their last word, or for days where they have none: a clock that has been
-- set back since gave their deadline. Who lives takes its index again.
--
-- KEYS 1  the app's leases: beside them, housekept = milliseconds of the last turn
-- ARGV 1  how long the last turn keeps others from the next, in milliseconds
-- Returns 1 if the turn is the caller's, else 0
--
-- Twice is safe: the second time finds the turn taken, and the house is kept a
-- pause later. A lease's owner may still take its index again if it is free then.

local DAY = 24 * 60 * 60 * 1000 -- no lease is given for that long
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local last = tonumber(redis.call('HGET', KEYS[1], 'housekept') or '')
-- A turn in the future was taken by a clock that has been set back.
if last and last <= now and now - last < tonumber(ARGV[1]) then return 0 end

-- A full Redis refuses this. Then everybody keeps house, which makes room.
redis.pcall('HSET', KEYS[1], 'housekept', string.format('%.0f', now))
local all, gone = redis.call('HGETALL', KEYS[1]), {}
for i = 1, #all, 2 do
  local index = string.match(all[i], '^i:%d+$') -- not everything here is a lease
  local entry = all[i + 1]
  local deadline = tonumber(string.match(entry, '^%S+ (%d+)') or '0')
  local ttl = tonumber(string.match(entry, '^%S+ %d+ %S+ %S+ %S+ %S+ (%d+)') or '') or DAY
  if index and (deadline <= now or deadline > now + ttl) then gone[#gone + 1] = all[i] end
end
for from = 1, #gone, 2000 do
  redis.call('HDEL', KEYS[1], unpack(gone, from, math.min(from + 1999, #gone)))
end
return 1
