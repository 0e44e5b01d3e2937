-- SPDX-License-Identifier: Apache-2.0
--
-- Reads the gauges of writers, with the time to compare their deadlines with. If those of a
-- writer are many or long, it only counts them, and the reader fetches them otherwise.
--
-- KEYS …  each a writer's gauges
-- ARGV 1  gauges: how many at most, of all writers together
--      2  bytes of all of them at most
--      3  longest text, in bytes
--      4  lengths: 1 to ask for each length first, so that Redis does not copy what is too
--         long, but has \252 stand for it and its field; 0 while none was met
-- Returns {seconds, microseconds, writer…}, of each writer {field, "value deadline"…}, or how
--         many gauges there are, if they do not fit; 1 if the key is of another type
--
-- Twice is safe: it only reads.
--
-- The rules: docs/protocol.md, Reads and Limits.

local time = redis.call('TIME')
local gauges, room, longest, careful = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4] == '1'

local function lengths_first(key)
  local entries = {}
  for i, field in ipairs(redis.call('HKEYS', key)) do
    local short = #field <= longest and redis.call('HSTRLEN', key, field) <= longest
    entries[2 * i - 1] = short and field or '\252'
    entries[2 * i] = short and redis.call('HGET', key, field) or '\252'
  end
  return entries
end

local reply = {time[1], time[2]}
for k = 1, #KEYS do
  local many = redis.pcall('HLEN', KEYS[k])
  local fits = type(many) == 'number' and many <= gauges and room > 0
  if type(many) == 'table' then
    if not string.find(many.err, 'WRONGTYPE', 1, true) then return many end
    many = 1
  end
  local entries = fits and (careful and lengths_first(KEYS[k]) or redis.call('HGETALL', KEYS[k]))
  if entries then
    for i = 1, #entries do room = room - #entries[i] end
    gauges = gauges - many
  end
  reply[2 + k] = room >= 0 and entries or many
end
return reply
