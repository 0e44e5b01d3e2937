-- SPDX-License-Identifier: Apache-2.0
--
-- Removes sequence numbers of writers that have been silent for long.
--
-- KEYS 1  a family's control hash
-- ARGV 1  age in seconds
--      2… fields w:<writer> that seemed old
-- Returns how many were removed
--
-- Twice is safe: the age is looked at again each time, here and now.

local limit = redis.call('TIME')[1] - tonumber(ARGV[1])
local gone = {}
for i = 2, #ARGV do
  local entry = redis.call('HGET', KEYS[1], ARGV[i])
  local stamp = entry and tonumber(string.match(entry, '^%d+ (%d+)$') or '')
  if stamp and stamp <= limit then gone[#gone + 1] = ARGV[i] end
end
if #gone > 0 then redis.call('HDEL', KEYS[1], unpack(gone)) end
return #gone
