-- SPDX-License-Identifier: Apache-2.0
--
-- Gives a lease back and removes the writer's gauges.
--
-- KEYS 1  the app's leases
--      2  the writer's gauges
-- ARGV 1  writer
--      2  index
-- Returns 1 if the lease was the writer's, else 0
--
-- Twice is safe: a lease that another writer took meanwhile is left alone.

local field = 'i:' .. ARGV[2]
local entry = redis.pcall('HGET', KEYS[1], field)
if type(entry) == 'table' then -- an error: where the key is of another type, there is no lease
  if not string.find(entry.err, 'WRONGTYPE', 1, true) then redis.call('HGET', KEYS[1], field) end
  entry = false
end
local mine = entry and string.sub(entry, 1, #ARGV[1] + 1) == ARGV[1] .. ' '
-- The lease goes first: without it nobody shows these gauges, nor writes them.
if mine then redis.call('HDEL', KEYS[1], field) end
redis.call('UNLINK', KEYS[2])
return mine and 1 or 0
