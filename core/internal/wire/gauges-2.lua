-- SPDX-License-Identifier: Apache-2.0
--
-- Sets and deletes gauges of a writer that holds its lease.
--
-- KEYS 1  the app's leases
--      2  the writer's gauges: field = "value deadline", \254 = version
-- ARGV 1  writer
--      2  index
--      3  version of this write
--      4  1 if it replaces everything stored, else 0
--      5… kind (+ or -), field, value and time to live in milliseconds of each
-- Returns OK    applied now
--         DUP   this version was applied before
--         FULL  the stored version is not the one before: send everything
--         LOST  the lease is not the writer's
--
-- Twice is safe: the second time, the version is stored already.

local leases, key = KEYS[1], KEYS[2]
local VERSION = '\254'
local HEAD, CHUNK = 4, 2000
local full = ARGV[4] == '1'

local entry = redis.call('HGET', leases, 'i:' .. ARGV[2])
if not entry or string.match(entry, '^(%S+)') ~= ARGV[1] then return 'LOST' end

local version = tonumber(ARGV[3])
local stored = tonumber(redis.call('HGET', key, VERSION) or '0') or 0
if stored >= version then return 'DUP' end
if not full and stored + 1 ~= version then return 'FULL' end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local set, gone, longest = {VERSION, ARGV[3]}, {}, 0
for i = HEAD + 1, #ARGV, 4 do
  local field = ARGV[i + 1]
  if ARGV[i] == '-' then
    gone[#gone + 1] = field
  else
    local ttl = tonumber(ARGV[i + 3])
    if ttl > longest then longest = ttl end
    set[#set + 1] = field
    set[#set + 1] = ARGV[i + 2] .. ' ' .. string.format('%.0f', now + ttl)
  end
end
if not full then longest = math.max(longest, redis.call('PTTL', key)) end

redis.call('HSET', key, VERSION, ARGV[3]) -- first a write that checks the memory; DEL does not
if full then
  redis.call('DEL', key)
elseif #gone > 0 then
  for from = 1, #gone, CHUNK do
    redis.call('HDEL', key, unpack(gone, from, math.min(from + CHUNK - 1, #gone)))
  end
end
for from = 1, #set, CHUNK do
  redis.call('HSET', key, unpack(set, from, math.min(from + CHUNK - 1, #set)))
end
if longest <= 0 or redis.call('HLEN', key) == 1 then
  redis.call('DEL', key) -- no gauge is left
else
  redis.call('PEXPIREAT', key, string.format('%.0f', now + longest))
end
return 'OK'
