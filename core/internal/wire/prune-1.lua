-- SPDX-License-Identifier: Apache-2.0
--
-- Removes from one slice of a control hash the sequence numbers of writers that were silent
-- for long.
--
-- KEYS 1  a family's control hash
-- ARGV 1  cursor of the slice; 0 for the first
--      2  fields: about how many
--      3  age in seconds
-- Returns {cursor of the next slice or 0, how much was damaged, 1 if there is no such
--          hash else 0, 1 if idle-3.lua has something to look for else 0}
--
-- Twice is safe: each run judges the stamps that are stored then.
--
-- The rules: docs/protocol.md, Housekeeping, Times and Damage. A damaged number is not
-- removed, but becomes the largest there is: without an entry, its writer would take all
-- that it sent for lost.

local WHOLE, LARGEST = 9007199254740992, '9007199254740991'
local LONGEST = 66 -- bytes of w:<writer>
local now = tonumber(redis.call('TIME')[1])
local limit = now - tonumber(ARGV[3])

local slice = redis.pcall('HSCAN', KEYS[1], ARGV[1], 'MATCH', 'w:*', 'COUNT', ARGV[2])
if slice.err then
  if string.find(slice.err, 'WRONGTYPE', 1, true) then return {'0', 0, 0, 0} end -- register-3.lua replaces the key
  slice = redis.call('HSCAN', KEYS[1], ARGV[1], 'MATCH', 'w:*', 'COUNT', ARGV[2])
end
local list, damaged = slice[2], 0
local gone, anew = {}, {} -- fields to remove; fields and entries to write, whose age begins now
for i = 1, #list, 2 do
  local field, entry = list[i], list[i + 1]
  local seq, stamp = string.match(entry, '^(%d+) (%d+)$')
  seq = seq or string.match(entry, '^(%d+) ') or ''
  local n = tonumber(seq)
  if #field > LONGEST then
    damaged = damaged + 1
    stamp = '0'
  elseif not n or n >= WHOLE or string.format('%.0f', n) ~= seq then
    damaged = damaged + 1
    seq, stamp = LARGEST, nil
  end
  stamp = tonumber(stamp or '')
  if stamp and stamp <= limit then
    gone[#gone + 1] = field
  elseif not stamp or stamp > now then
    anew[#anew + 1] = field
    anew[#anew + 1] = seq .. ' ' .. string.format('%.0f', now)
  end
end
for from = 1, #gone, 2000 do
  redis.call('HDEL', KEYS[1], unpack(gone, from, math.min(from + 1999, #gone)))
end
for from = 1, #anew, 2000 do
  redis.call('HSET', KEYS[1], unpack(anew, from, math.min(from + 1999, #anew)))
end
local nothing = slice[1] == '0' and #list == 0 and redis.call('EXISTS', KEYS[1]) == 0
local state = redis.call('HMGET', KEYS[1], 'epoch', 'swept', 'retention', 'mode')
local epoch = string.match(state[1] or '', '^(%d+) ')
local due = epoch and (epoch ~= state[2] and state[3] and state[3] ~= '0' or state[4] == 'latest')
return {slice[1], damaged, nothing and 1 or 0, due and 1 or 0}
