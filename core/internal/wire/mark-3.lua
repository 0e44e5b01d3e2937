-- SPDX-License-Identifier: Apache-2.0
--
-- Notes that series of a family are held in the present epoch, and tells which of them are
-- gone.
--
-- KEYS 1  the family's control hash
--      2  the family's values hash
--      3  the marks of its series
-- ARGV 1  generation
--      2… fields
-- Returns {OK, number of a field that has no series…}  the first is 1
--         {UNKNOWN}                                    another generation, or no such keys
--
-- Twice is safe: the second run finds the marks of the first. A mark is only made for a
-- series that is there.
--
-- The rules: docs/protocol.md, Marks.

local ctl, v = KEYS[1], KEYS[2]
local state, generation = redis.pcall('HMGET', ctl, 'gen', 'epoch'), redis.pcall('HGET', v, '\254')
if state[1] ~= ARGV[1] or generation ~= ARGV[1] then
  local function raise(reply, ...)
    if type(reply) == 'table' and reply.err and not string.find(reply.err, 'WRONGTYPE', 1, true) then redis.call(...) end
  end
  raise(state, 'HMGET', ctl, 'gen')
  raise(generation, 'HGET', v, '\254')
  return {'UNKNOWN'}
end
local epoch = tonumber(string.match(state[2] or '', '^(%d+) ') or '0')

local m, fields = marks(KEYS[3], ARGV[1]), {unpack(ARGV, 2)}
m.load(fields)
local reply, changed = {'OK'}, false
for i = 1, #fields do
  local field = fields[i]
  local start, held = m.get(field)
  if redis.call('HEXISTS', v, field) == 0 then
    reply[#reply + 1] = i
    if start then
      m.remove(field)
      changed = true
    end
  elseif held ~= epoch % 256 then
    m.set(field, start or 0, epoch)
    changed = true
  end
end
if changed then
  redis.call('HSET', ctl, 'gen', ARGV[1]) -- the first write checks the memory, as UNLINK and HDEL do not
  m.save()
end
return reply
