-- SPDX-License-Identifier: Apache-2.0
--
-- The marks of a family's series. This is no script, but the beginning of those that use
-- marks; scripts.go puts it there.
--
-- A mark is 13 bytes: 5 that tell the series, 7 with its start in microseconds of Redis's
-- clock (0: not known), and 1 with the epoch in which it was held last, modulo 256. The SHA-1
-- of a series' field, in hexadecimal, tells where its mark is: the first 3 digits, modulo
-- 1024, are the name of a bucket, which is a field of the hash; the next 10 are the 5 bytes.
--
-- The rules: docs/protocol.md, Marks.

-- trouble returns a reply of redis.pcall that is an error. A key of another type is none: it
-- counts as missing until register-3.lua replaces it.
local function trouble(reply)
  if type(reply) == 'table' and reply.err and not string.find(reply.err, 'WRONGTYPE', 1, true) then return reply end
end

-- marks reads the marks of fields from the hash at key, for the epoch that the field epoch of
-- the control hash tells. If the hash has another generation, there are no marks, and none can
-- be set until register-3.lua has replaced it. With anew, all marks are to go, and none is read.
local function marks(key, generation, epoch, fields, anew)
  local sub, find, char, floor = string.sub, string.find, string.char, math.floor
  local GENERATION, SIZE, BUCKETS, LONGEST = '\254', 13, 1024, 32500
  local present = tonumber(sub(string.match(epoch or '', '^%d+') or '0', -15)) % 256
  local stamp = char(present)
  local bucket, id = {}, {} -- of each field
  local texts = {} -- by bucket: its marks, one after the other
  local changed = {} -- the buckets whose texts have changed

  local names = {GENERATION}
  for i = 1, #fields do
    local field = fields[i]
    local sum = redis.sha1hex(field)
    local name, n = tostring(tonumber(sub(sum, 1, 3), 16) % BUCKETS), tonumber(sub(sum, 4, 13), 16)
    bucket[field] = name
    id[field] = char(floor(n / 4294967296), floor(n / 16777216) % 256, floor(n / 65536) % 256, floor(n / 256) % 256, n % 256)
    if not texts[name] then
      texts[name] = ''
      names[#names + 1] = name
    end
  end
  local known = anew
  if not anew then
    local stored = redis.pcall('HMGET', key, unpack(names))
    known = stored[1] == generation
    for i = 2, known and #names or 0 do
      local text = stored[i]
      if text and #text % SIZE == 0 and #text <= LONGEST then texts[names[i]] = text end
    end
  end

  -- at returns the text with the mark of a field, and where it begins; nil if there is none.
  local function at(field)
    local text, i = texts[bucket[field]], 0
    repeat
      i = find(text, id[field], i + 1, true)
    until not i or i % SIZE == 1
    return text, i
  end

  local function put(field, text)
    texts[bucket[field]], changed[bucket[field]] = text, true
  end

  local m = {}

  -- start returns when a series began; nil if it has no mark.
  function m.start(field)
    local text, i = at(field)
    if not i then return nil end
    local a, b, c, d, e, f, g = string.byte(text, i + 5, i + 11)
    return (((((a * 256 + b) * 256 + c) * 256 + d) * 256 + e) * 256 + f) * 256 + g
  end

  -- later says whether a series began so late after a deletion was asked for that the deletion
  -- spares it: more than a second, by which the clocks of processes may differ. A start in the
  -- future was written before the clock was set back.
  function m.later(field, asked, now)
    local start = m.start(field)
    return start and start > asked + 1000000 and start <= now
  end

  -- age returns how many epochs ago a series was held last; nil if it has no mark.
  function m.age(field)
    local text, i = at(field)
    return i and (present - string.byte(text, i + 12)) % 256
  end

  -- set marks a series as held now, and sets its start.
  function m.set(field, start)
    local text, i = at(field)
    local mark = id[field] .. char(floor(start / 281474976710656) % 256, floor(start / 1099511627776) % 256,
      floor(start / 4294967296) % 256, floor(start / 16777216) % 256, floor(start / 65536) % 256, floor(start / 256) % 256, start % 256) .. stamp
    if i then
      put(field, sub(text, 1, i - 1) .. mark .. sub(text, i + SIZE))
    elseif #text < LONGEST then
      put(field, text .. mark)
    end
  end

  -- hold marks a series as held now. If it has no mark yet, its start is not known.
  function m.hold(field)
    local text, i = at(field)
    if not i then
      m.set(field, 0)
    elseif sub(text, i + 12, i + 12) ~= stamp then
      put(field, sub(text, 1, i + 11) .. stamp .. sub(text, i + SIZE))
    end
  end

  function m.remove(field)
    local text, i = at(field)
    if i then put(field, sub(text, 1, i - 1) .. sub(text, i + SIZE)) end
  end

  -- save writes what has changed. The caller has written before: then Redis does not refuse it
  -- for want of memory.
  function m.save()
    if not known or not anew and not next(changed) then return end
    local set, gone = {GENERATION, generation}, {}
    for name in pairs(changed) do
      if texts[name] == '' then
        gone[#gone + 1] = name
      else
        set[#set + 1] = name
        set[#set + 1] = texts[name]
      end
    end
    if anew then redis.call('UNLINK', key) end
    if #gone > 0 then redis.call('HDEL', key, unpack(gone)) end
    redis.call('HSET', key, unpack(set))
  end

  return m
end

