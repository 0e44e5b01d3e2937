-- SPDX-License-Identifier: Apache-2.0
--
-- Takes the turn to do the housekeeping, unless a process took it lately.
--
-- KEYS 1  the app's leases; beside them, housekept = milliseconds of the last turn
-- ARGV 1  how long the last turn keeps others from the next, in milliseconds
-- Returns 1 if the turn is the caller's; 2 if it is, and the last turn was more than an hour
--          ago; else 0
--
-- Twice is safe: the second run finds the turn taken, and the housekeeping is done one turn
-- later.
--
-- The rules: docs/protocol.md, Housekeeping.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local last = tonumber(string.match(redis.call('HGET', KEYS[1], 'housekept') or '', '^%d+$') or '')
-- A turn in the future was written before the clock was set back.
if last and last <= now and now - last < tonumber(ARGV[1]) then return 0 end

-- A full Redis refuses this write. Then each process that asks has the turn, and makes room.
redis.pcall('HSET', KEYS[1], 'housekept', string.format('%.0f', now))

-- Perhaps no process lived for an hour, or the clock was set forward. Then what living
-- processes renew all the time looks old.
if last and now - last > 3600000 then return 2 end
return 1
