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
-- Twice is safe: if another writer took the lease meanwhile, it keeps it.
--
-- The rules: docs/protocol.md, Leases.

local field = 'i:' .. ARGV[2]
local entry = redis.pcall('HGET', KEYS[1], field)
if type(entry) == 'table' then -- an error; in a key of another type there is no lease
  if not string.find(entry.err, 'WRONGTYPE', 1, true) then redis.call('HGET', KEYS[1], field) end
  entry = false
end
local mine = entry and string.sub(entry, 1, #ARGV[1] + 1) == ARGV[1] .. ' '
-- The lease goes first: without it no reader shows these gauges, and no write is applied.
if mine then redis.call('HDEL', KEYS[1], field) end
redis.call('UNLINK', KEYS[2])
return mine and 1 or 0
