-- SPDX-License-Identifier: Apache-2.0
--
-- Lists families, or lists them anew, as declared by a living writer.
--
-- KEYS 1  the app's sorted set of families
-- ARGV 1… names
-- Returns OK
--
-- Twice is safe: it only makes the time a little later.

local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
for from = 1, #ARGV, 1000 do
  local args = {}
  for i = from, math.min(from + 999, #ARGV) do
    args[#args + 1] = now
    args[#args + 1] = ARGV[i]
  end
  redis.call('ZADD', KEYS[1], unpack(args))
end
return redis.status_reply('OK')
