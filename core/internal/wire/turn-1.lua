-- SPDX-License-Identifier: Apache-2.0
--
-- Takes the turn to do the housekeeping, unless a process took it lately.
--
-- KEYS 1  the app's leases; beside them, housekept = milliseconds of the last turn, and
--         " late" if that was late
-- ARGV 1  how long the last turn keeps others from the next, in milliseconds
-- Returns 1 if the turn is the caller's; 2 if it is, and is late; else 0
--
-- Twice is safe: the second run finds the turn taken, and the housekeeping is done one turn
-- later.
--
-- The rules: docs/protocol.md, Housekeeping.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local stored = redis.call('HGET', KEYS[1], 'housekept') or ''
local last = tonumber(string.match(stored, '^%d+$') or string.match(stored, '^(%d+) late$') or '')
-- A turn in the future was written before the clock was set back.
if last and last <= now and now - last < tonumber(ARGV[1]) then return 0 end

-- Perhaps no process lived for an hour, or the clock was set forward. Then what living
-- processes renew all the time looks old. Where no process ever lives long, each turn seems
-- late: only every second one is.
local late = last and now - last > 3600000 and not string.find(stored, 'late', 1, true)

-- A full Redis refuses this write. Then each process that asks has the turn, and makes room.
local noted = redis.pcall('HSET', KEYS[1], 'housekept', string.format('%.0f', now) .. (late and ' late' or ''))
if late and type(noted) == 'table' then redis.pcall('HDEL', KEYS[1], 'housekept') end -- or else each would be late
return late and 2 or 1
