-- SPDX-License-Identifier: Apache-2.0
--
-- Reads a slice of the list of families, and removes from it what is not a metric's name.
--
-- KEYS 1  the app's sorted set of families
-- ARGV 1  rank of the slice's first name
--      2  how many names at most
--      3  longest name, in bytes
-- Returns {milliseconds of now, rank of the next slice or -1 at the end, how much was
--          damaged, {name, score…}}
--
-- Twice is safe: no process puts on the list what this removes. A slice may miss a name
-- whose rank changed since the slice before; the next housekeeping finds it.
--
-- The rules: docs/protocol.md, Housekeeping.

local time = redis.call('TIME')
local from, count, longest = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local list = redis.call('ZRANGE', KEYS[1], from, from + count - 1, 'WITHSCORES')
local names, gone = {}, {}
for i = 1, #list, 2 do
  local name = list[i]
  if #name <= longest and string.find(name, '^[A-Za-z_:][A-Za-z0-9_:]*$') then
    names[#names + 1] = name
    names[#names + 1] = list[i + 1]
  else
    gone[#gone + 1] = name
  end
end
if #gone > 0 then redis.call('ZREM', KEYS[1], unpack(gone)) end
local next_rank = -1
if #list == 2 * count then next_rank = from + #names / 2 end
return {string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000)), next_rank, #gone, names}
