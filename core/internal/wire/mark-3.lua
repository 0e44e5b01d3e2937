-- SPDX-License-Identifier: Apache-2.0
--
-- Notes that series of a family are held in the present epoch, and tells which of them are
-- gone.
--
-- KEYS 1  the family's control hash
--      2  the family's values hash
--      3  the marks of its series
-- ARGV 1  generation
--      2  writer
--      3  last: the writer's newest number that Redis has acknowledged
--      4… fields
-- Returns {OK, number of a field that has no series…}  the first is 1
--         {UNKNOWN}                                    another generation, no such keys, or
--                                                      Redis has stepped back to before last
--
-- Twice is safe: the second run finds the marks of the first. A mark is only made for a
-- series that is there.
--
-- The rules: docs/protocol.md, Marks.

local ctl, v = KEYS[1], KEYS[2]
local state, generation = redis.pcall('HMGET', ctl, 'gen', 'epoch', 'w:' .. ARGV[2]), redis.pcall('HGET', v, '\254')
if state[1] ~= ARGV[1] or generation ~= ARGV[1] then
  return trouble(state) or trouble(generation) or {'UNKNOWN'}
end
-- After a step back a series may be missing that the writer brings back from what it keeps.
if tonumber(string.match(state[3] or '', '^%d+') or '0') < tonumber(ARGV[3]) then return {'UNKNOWN'} end

local fields, reply = {unpack(ARGV, 4)}, {'OK'}
if #fields == 0 then return reply end
local texts, m = redis.call('HMGET', v, unpack(fields)), marks(KEYS[3], ARGV[1], state[2], fields)
for i = 1, #fields do
  if texts[i] then
    m.hold(fields[i])
  else
    m.remove(fields[i])
    reply[#reply + 1] = i
  end
end
redis.call('HSET', ctl, 'gen', ARGV[1]) -- changes nothing, but checks the memory before save
m.save()
return reply
