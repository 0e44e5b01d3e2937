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

-- Perhaps no process lived for an hour, or the clock was set forward. Then what living
-- processes renew all the time looks old. The next turn is free as soon as they have renewed it,
-- so that it also comes where each process lives for some minutes only.
local RENEWED = 60000
local late = last and now - last > 3600000
local noted = late and math.min(now, now - tonumber(ARGV[1]) + RENEWED) or now

-- A full Redis refuses this write. Then each process that asks has the turn, and makes room. So
-- that this goes on when it has been full for an hour, the field goes, and the next turn is not
-- late.
local reply = redis.pcall('HSET', KEYS[1], 'housekept', string.format('%.0f', noted))
if late and type(reply) == 'table' then redis.pcall('HDEL', KEYS[1], 'housekept') end
return late and 2 or 1
