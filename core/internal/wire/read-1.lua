-- SPDX-License-Identifier: Apache-2.0
--
-- Executes one reading command on a hash, and keeps what a stranger may have stored there
-- from whoever reads: a text that is too long, or too many long ones. So also read clients
-- that would send the command itself to a replica.
--
-- KEYS 1  the hash
-- ARGV 1  hget, hmget or hscan
--      2  the longest text, in bytes: a longer one is replaced by the byte \252
--      3  how many bytes a reply has; it ends with the text by which it has more
--      4  1 if the hash was seen to hold longer texts: their lengths are asked for
--         first, and they are not copied
--      5… the command's arguments behind the key; of hscan: cursor, 'count',
--         how many, and 'match', pattern or nothing
-- Returns the command's reply; of hmget the first texts of it, one at least
--
-- Twice is safe: it only reads.

local call, key, longest, room = redis.call, KEYS[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local size = 0 -- of the reply, with what is replaced in it
local list = {}

if ARGV[1] == 'hscan' then
  -- The first slices are small: nobody knows yet how long the texts are.
  local cursor, wanted, count, n = ARGV[5], tonumber(ARGV[7]), 16, 0
  repeat
    local part = call('HSCAN', key, cursor, 'COUNT', count, unpack(ARGV, 8))
    local texts = part[2]
    cursor = part[1]
    for i = 1, #texts do
      local text = texts[i]
      size = size + #text
      if #text > longest then text = '\252' end
      list[n + i] = text
    end
    n, wanted, count = n + #texts, wanted - count, count * 4
    if count > wanted then count = wanted end
  until cursor == '0' or wanted <= 0 or size > room
  return {cursor, list}
end

if ARGV[4] == '1' then
  for i = 5, #ARGV do
    local length = call('HSTRLEN', key, ARGV[i])
    list[i - 4] = length > longest and '\252' or call('HGET', key, ARGV[i])
    size = size + length
    if size > room then break end
  end
else
  list = call('HMGET', key, unpack(ARGV, 5))
  for i = 1, #list do
    local text = list[i]
    if text then
      size = size + #text
      if #text > longest then list[i] = '\252' end
      if size > room then
        for more = #list, i + 1, -1 do list[more] = nil end
        break
      end
    end
  end
end
if ARGV[1] == 'hget' then return list[1] end
return list
