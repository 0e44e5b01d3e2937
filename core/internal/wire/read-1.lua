-- SPDX-License-Identifier: Apache-2.0
--
-- Executes a reading command on a hash, and limits the length of each text and of the whole
-- reply. Clients that would send the command itself to a replica use it too, as scripts go
-- to masters.
--
-- KEYS 1  the hash
-- ARGV 1  hget, hmget or hscan
--      2  longest text, in bytes; \252 stands for a longer one
--      3  bytes of a reply: it ends with the text that exceeds them
--      4  lengths: 1 to ask for each length first, so that Redis does not copy what is too
--         long; 0 while none was met in this hash
--      5… the command's arguments behind the key; of hscan: cursor, 'count',
--         how many, and 'match', pattern or nothing
-- Returns the command's reply; of hmget perhaps only the first texts, at least one
--
-- Twice is safe: it only reads.
--
-- The rules: docs/protocol.md, Reads and Limits.

local call, key, longest, room = redis.call, KEYS[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local size = 0 -- of the reply in bytes; a text that is too long counts with all its bytes
local list = {}

if ARGV[1] == 'hscan' then
  -- The first slices are small, since the texts may be long.
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
