-- SPDX-License-Identifier: Apache-2.0
--
-- Removes the leases that have expired.
--
-- KEYS 1  the app's leases
-- Returns how many
--
-- Twice is safe: what has expired is removed once. Its owner may still take
-- the index again if it is free then.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local all, gone = redis.call('HGETALL', KEYS[1]), {}
for i = 1, #all, 2 do
  local index = string.match(all[i], '^i:%d+$') -- the lineage stands here too
  if index and tonumber(string.match(all[i + 1], '^%S+ (%d+)') or '0') <= now then gone[#gone + 1] = all[i] end
end
for from = 1, #gone, 2000 do
  redis.call('HDEL', KEYS[1], unpack(gone, from, math.min(from + 1999, #gone)))
end
return #gone
