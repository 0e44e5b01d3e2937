-- SPDX-License-Identifier: Apache-2.0
--
-- Sets and deletes gauges of a writer that has its lease.
--
-- KEYS 1  the app's leases
--      2  the writer's gauges: field = "value deadline", \254 = version
-- ARGV 1  writer
--      2  index
--      3  version of this write
--      4  replaces: 1 if this write replaces everything stored, else 0
--      5  gauges: how many the writer has after this write; -1 if it does not say
--      6… kind (+ or -), field, value and time to live in milliseconds of each op
-- Returns {OK, damaged}     applied now
--         {DUP, damaged}    this version was applied before
--         {AHEAD, damaged}  a later version is stored
--         {FULL, damaged}   the stored version is not the one before: send everything
--         {LOST, damaged}   the lease is not the writer's
--         damaged counts what was not as this script writes it: a key of another type and
--         a version that is no number, both replaced now; and gauges that the writer does
--         not have, which the next write that replaces everything removes
--
-- Twice is safe: the second time, the version is stored already.
--
-- The rules: docs/protocol.md, Gauges.

local leases, key = KEYS[1], KEYS[2]
local VERSION = '\254'
local HEAD, CHUNK = 5, 2000
local WHOLE, LONGEST = 9007199254740992, 1e13 -- milliseconds: some 300 years
local full = ARGV[4] == '1'

local damaged = 0
local odd = 0 -- 1 for a version that is no number; it is counted when it is replaced

-- failed says whether a reply is an error, and strange whether the error says that the key
-- is of another type. To raise any other error, call the command again.
local function failed(reply) return type(reply) == 'table' and reply.err end
local function strange(reply) return string.find(reply.err, 'WRONGTYPE', 1, true) end

local field = 'i:' .. ARGV[2]
local entry = redis.pcall('HGET', leases, field)
if failed(entry) then
  if not strange(entry) then redis.call('HGET', leases, field) end
  entry = false -- hold-1.lua replaces the key
end
if not entry or string.sub(entry, 1, #ARGV[1] + 1) ~= ARGV[1] .. ' ' then return {'LOST', 0} end

local version, stored = tonumber(ARGV[3]), redis.pcall('HGET', key, VERSION)
if failed(stored) then
  if not strange(stored) then redis.call('HGET', key, VERSION) end
  redis.call('UNLINK', key)
  damaged, stored = 1, false
end
if stored then
  local n = tonumber(string.match(stored, '^%d+$') or '')
  if not n or n >= WHOLE then odd, n = 1, 0 end
  stored = n
else
  stored = 0
end
if stored > version then return {'AHEAD', damaged} end
if stored == version then return {'DUP', damaged} end
if not full and stored + 1 ~= version then return {'FULL', damaged} end

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
if not full then longest = math.min(LONGEST, math.max(longest, redis.call('PTTL', key))) end

redis.call('HSET', key, VERSION, ARGV[3]) -- the first write checks the memory, as UNLINK does not
if full then
  redis.call('UNLINK', key)
elseif #gone > 0 then
  for from = 1, #gone, CHUNK do
    redis.call('HDEL', key, unpack(gone, from, math.min(from + CHUNK - 1, #gone)))
  end
end
for from = 1, #set, CHUNK do
  redis.call('HSET', key, unpack(set, from, math.min(from + CHUNK - 1, #set)))
end
local left = redis.call('HLEN', key) - 1
if longest <= 0 or left == 0 then
  redis.call('UNLINK', key) -- no gauge is left
else
  redis.call('PEXPIREAT', key, string.format('%.0f', now + longest))
end
local own = tonumber(ARGV[5])
if own >= 0 and left > own then damaged = damaged + left - own end
return {'OK', damaged + odd}
