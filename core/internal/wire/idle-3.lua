-- SPDX-License-Identifier: Apache-2.0
--
-- Removes from one slice of a family the series that no process has held for its retention,
-- and the values of latest gauges that have expired.
--
-- KEYS 1  the family's control hash
--      2  the family's values hash
--      3  the marks of its series
-- ARGV 1  cursor of the slice; 0 for the first
--      2  fields: about how many
--      3  epoch in which the first slice was read; empty in the first slice
-- Returns {cursor of the next slice or 0, the epoch of the first slice, how many idle series
--          went, how many expired}
--
-- Twice is safe: each run judges by the marks and the deadlines that are stored then.
--
-- The rules: docs/protocol.md, Marks and Housekeeping. A mark that is missing or seems to be
-- of a later epoch is made anew: the age of the series begins then.

local ctl, v = KEYS[1], KEYS[2]
local OLD, LATER = 9, 128 -- epochs: eight whole ones have passed since; more than that can't be
local NOTHING = {'0', '', 0, 0}
local state, generation = redis.pcall('HMGET', ctl, 'gen', 'epoch', 'retention', 'mode', 'shape', 'type'), redis.pcall('HGET', v, '\254')
if not state[1] or state[1] ~= generation then return NOTHING end
local epoch = string.match(state[2] or '', '^(%d+) ')
if not epoch then return NOTHING end
local n, kept = tonumber(epoch), tonumber(string.match(state[3] or '', '^%d+$') or '0')
local latest = state[6] == 'gauge' and state[4] == 'latest'
local time = redis.call('TIME')
local micros = time[1] * 1000000 + time[2]

local slice = redis.call('HSCAN', v, ARGV[1], 'COUNT', ARGV[2])
local list, fields, texts = slice[2], {}, {}
for i = 1, #list, 2 do
  if list[i] ~= '\254' then
    fields[#fields + 1] = list[i]
    texts[#texts + 1] = list[i + 1]
  end
end
local m = marks(KEYS[3], generation)
m.load(fields)
local gone, idle, expired = {}, 0, 0
for i = 1, #fields do
  local field = fields[i]
  local start, held = m.get(field)
  local age = held and (n - held) % 256
  local deadline = latest and tonumber(string.match(texts[i], '^%S+ %d+ (%d+)$') or '0') or 0
  if deadline > 0 and deadline <= micros then
    expired = expired + 1
    gone[#gone + 1] = field
  elseif kept > 0 and age and age >= OLD and age < LATER then
    idle = idle + 1
    gone[#gone + 1] = field
  elseif not age or age >= LATER then
    m.set(field, start or 0, n)
  end
end

-- HDEL comes first, since it does not check the memory: a full Redis becomes less full.
for from = 1, #gone, 1000 do
  redis.call('HDEL', v, unpack(gone, from, math.min(from + 999, #gone)))
end
if #gone > 0 then
  for i = 1, #gone do m.remove(gone[i]) end
  local count = (tonumber(string.match(state[5] or '', '^%d+') or '0') or 0) + 1
  redis.call('HSET', ctl, 'removed', string.format('%.0f', micros),
    'shape', string.format('%.0f', count) .. ' ' .. time[1] .. '.' .. time[2])
end
local first = ARGV[3] ~= '' and ARGV[3] or epoch
if slice[1] == '0' then redis.call('HSET', ctl, 'swept', first) end
m.save()
return {slice[1], first, idle, expired}
