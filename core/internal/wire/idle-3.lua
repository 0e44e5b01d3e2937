-- SPDX-License-Identifier: Apache-2.0
--
-- Removes from one slice of a family the series that no process has held for its retention, and
-- the values of latest gauges that have expired. For a Reset that comes late it removes all
-- series that it does not spare.
--
-- KEYS 1  the family's control hash
--      2  the family's values hash
--      3  the marks of its series
-- ARGV 1  cursor of the slice; 0 for the first
--      2  fields: about how many
--      3  epoch in which the first slice was read; empty for the first slice
--      4  asked: when a late Reset was asked for, in microseconds; 0 if there is none, and then
--         what follows is empty
--      5  generation
--      6  writer
--      7  prev: the number that the control hash must have for the writer, as in commit-3.lua
-- Returns {cursor of the next slice or 0, the epoch of the first slice, how many idle series
--          went, how many expired, how many the Reset removed}
--
-- Twice is safe: each run judges by the marks and the deadlines that are stored then. Once the
-- Reset's batch is applied, the writer has another number, and its slices do nothing.
--
-- The rules: docs/protocol.md, Marks, Housekeeping, Delete and Reset. A mark that is missing or
-- seems to be of a later epoch is made anew: the age of the series begins then.

local ctl, v = KEYS[1], KEYS[2]
local OLD, LATER = 9, 128 -- epochs. OLD: eight whole ones have passed since. LATER: no mark gets so old
local asked = tonumber(ARGV[4])
local state = redis.pcall('HMGET', ctl, 'gen', 'epoch', 'retention', 'type', 'mode', 'shape', 'removed', 'w:' .. ARGV[6])
local generation = redis.pcall('HGET', v, '\254')
local epoch = string.match(state[2] or '', '^(%d+) %d+$')
local known = epoch and epoch == string.format('%.0f', tonumber(epoch))
local ours = generation == ARGV[5] and (string.match(state[8] or '', '^%d+') or '0') == ARGV[7]
if generation ~= state[1] or asked > 0 and not ours or asked == 0 and not known then
  return trouble(state) or trouble(generation) or {'0', '', 0, 0, 0}
end
epoch = epoch or ''
local first = ARGV[3] == '' and epoch or ARGV[3]
local expires = tonumber(string.match(state[3] or '', '^%d+$') or '0') > 0
local latest = state[4] == 'gauge' and state[5] == 'latest'
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

local m = marks(KEYS[3], generation, epoch, fields)
local gone, idle, expired, reset = {}, 0, 0, 0
for i = 1, #fields do
  local field = fields[i]
  local age = m.age(field) or LATER
  local deadline = latest and tonumber(string.match(texts[i], '^%S+ %d+ (%d+)$') or '0') or 0
  if asked > 0 then
    if not m.later(field, asked, micros) then
      reset = reset + 1
      gone[#gone + 1] = field
    end
  elseif deadline > 0 and deadline <= micros then
    expired = expired + 1
    gone[#gone + 1] = field
  elseif expires and age >= OLD and age < LATER then
    idle = idle + 1
    gone[#gone + 1] = field
  elseif age >= LATER then
    m.hold(field)
  end
end

-- HDEL comes first, since it does not check the memory: a full Redis becomes less full. If it
-- is still full, it refuses all that follows, and the next turn looks again.
for from = 1, #gone, 1000 do
  redis.call('HDEL', v, unpack(gone, from, math.min(from + 999, #gone)))
end
local notes = {'gen', generation}
local function note(field, value)
  notes[#notes + 1] = field
  notes[#notes + 1] = value
end
if #gone > 0 then
  for i = 1, #gone do m.remove(gone[i]) end
  local last = tonumber(string.match(state[7] or '', '^(%d+) %d+$') or '0')
  last = asked > 0 and math.min(micros, math.max(asked, last)) or micros
  note('removed', string.format('%.0f %.0f', last, micros))
  local changed = change(state[6], time, redis.call('HLEN', v) - 1 + #gone, gone)
  for i = 1, #changed, 2 do note(changed[i], changed[i + 1]) end
end
if slice[1] == '0' and asked == 0 then note('swept', first) end
if type(redis.pcall('HSET', ctl, unpack(notes))) == 'number' then m.save() end
return {slice[1], first, idle, expired, reset}
