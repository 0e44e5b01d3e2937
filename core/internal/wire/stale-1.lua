-- SPDX-License-Identifier: Apache-2.0
--
-- Lists the families that nobody touched for long, and those whose score is in the future:
-- it was written before the clock was set back.
--
-- KEYS 1  the app's sorted set of families
-- ARGV 1  retention in milliseconds
--      2  how many at most
-- Returns {name, score, …}
--
-- Twice is safe: it only reads.
--
-- The rules: docs/protocol.md, Housekeeping. forget-3.lua decides which of them go.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local list = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now - tonumber(ARGV[1])),
  'WITHSCORES', 'LIMIT', 0, ARGV[2])
local rest = string.format('%.0f', tonumber(ARGV[2]) - #list / 2)
for _, entry in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. string.format('%.0f', now), '+inf',
  'WITHSCORES', 'LIMIT', 0, rest)) do
  list[#list + 1] = entry
end
return list
