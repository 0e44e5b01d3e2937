-- SPDX-License-Identifier: Apache-2.0
--
-- Removes sequence numbers of writers that have been silent for long.
--
-- KEYS 1  a family's control hash
-- ARGV 1  age in seconds
--      2… fields w:<writer> that seemed old, or of a time to come
-- Returns how many were removed
--
-- A stamp of a time to come was given by a clock that has been set back: its age
-- begins now.
--
-- Twice is safe: the age is looked at again each time, here and now.

local now = tonumber(redis.call('TIME')[1])
local limit = now - tonumber(ARGV[1])
local gone, anew = {}, {}
for i = 2, #ARGV do
  local entry = redis.call('HGET', KEYS[1], ARGV[i])
  local seq, stamp = string.match(entry or '', '^(%d+) (%d+)$')
  stamp = tonumber(stamp or '')
  if stamp and stamp <= limit then
    gone[#gone + 1] = ARGV[i]
  elseif stamp and stamp > now then
    anew[#anew + 1] = ARGV[i]
    anew[#anew + 1] = seq .. ' ' .. string.format('%.0f', now)
  end
end
if #gone > 0 then redis.call('HDEL', KEYS[1], unpack(gone)) end
if #anew > 0 then redis.call('HSET', KEYS[1], unpack(anew)) end
return #gone
