-- SPDX-License-Identifier: Apache-2.0
--
-- Takes the turn to keep house, unless somebody took it lately.
--
-- KEYS 1  the app's leases: beside them, housekept = milliseconds of the last turn
-- ARGV 1  how long the last turn keeps others from the next, in milliseconds
-- Returns 1 if the turn is the caller's, else 0
--
-- Twice is safe: the second time finds the turn taken, and the house is kept a
-- pause later.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local last = tonumber(string.match(redis.call('HGET', KEYS[1], 'housekept') or '', '^%d+$') or '')
-- A turn in the future was taken by a clock that has been set back.
if last and last <= now and now - last < tonumber(ARGV[1]) then return 0 end

-- A full Redis refuses this. Then everybody keeps house, which makes room.
redis.pcall('HSET', KEYS[1], 'housekept', string.format('%.0f', now))
return 1
