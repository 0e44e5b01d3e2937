-- SPDX-License-Identifier: Apache-2.0
--
-- Puts families of a living writer on the list, or renews their scores.
--
-- KEYS 1  the app's sorted set of families
-- ARGV 1… names
-- Returns how much was damaged and replaced: 1 for a key of another type, else 0
--
-- Twice is safe: the second run only writes a later time. A list that was replaced is
-- complete again when each writer has registered its families again.
--
-- The rules: docs/protocol.md, Register.

local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
local mended = 0
for from = 1, #ARGV, 1000 do
  local args = {}
  for i = from, math.min(from + 999, #ARGV) do
    args[#args + 1] = now
    args[#args + 1] = ARGV[i]
  end
  local reply = redis.pcall('ZADD', KEYS[1], unpack(args))
  if type(reply) == 'table' and reply.err then
    if string.find(reply.err, 'WRONGTYPE', 1, true) then
      mended = mended + 1
      redis.call('UNLINK', KEYS[1])
    end
    redis.call('ZADD', KEYS[1], unpack(args)) -- raises any other error
  end
end
return mended
