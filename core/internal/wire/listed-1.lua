-- SPDX-License-Identifier: Apache-2.0
--
-- Reads a slice of the list of families, and takes off it what is no name of a metric.
--
-- KEYS 1  the app's sorted set of families
-- ARGV 1  rank of the first
--      2  how many at most
--      3  bytes of the longest name
-- Returns {milliseconds of now, rank of the next slice or -1 at the end, how much was
--          damaged, {name, score…}}
--
-- Twice is safe: it removes nothing that anybody's is. A slice may miss a name whose
-- rank changed meanwhile.

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
