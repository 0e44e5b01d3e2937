-- SPDX-License-Identifier: Apache-2.0
--
-- Lists the families that nobody touched for long.
--
-- KEYS 1  the app's sorted set of families
-- ARGV 1  retention in milliseconds
--      2  how many at most
-- Returns {name, score, …}
--
-- Twice is safe: it only reads.

local time = redis.call('TIME')
local limit = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000) - tonumber(ARGV[1]))
return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', limit, 'WITHSCORES', 'LIMIT', 0, ARGV[2])
