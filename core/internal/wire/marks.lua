-- SPDX-License-Identifier: Apache-2.0
--
-- The marks of a family's series. This is no script, but stands before those that use marks:
-- scripts.go puts it there.
--
-- A mark is 13 bytes: 5 that tell the series, 7 with its start in microseconds of Redis's
-- clock (0: not known), and 1 with the epoch in which it was held last, modulo 256. The SHA-1
-- of a series' field, in hexadecimal, tells where its mark is: the first 3 digits, modulo
-- 1024, are the name of a bucket, which is a field of the hash; the next 10 are the 5 bytes.
-- So Redis has 1024 texts, however many series there are, and a mark takes 20 to 60 bytes.

-- marks reads and changes the marks in the hash at key. They belong to one generation of the
-- family: those of another one count as none. Changes are written by save.
local function marks(key, generation)
  local call, pcall, sub, find, char, floor = redis.call, redis.pcall, string.sub, string.find, string.char, math.floor
  local GENERATION, SIZE, BUCKETS, LONGEST, CHUNK = '\254', 13, 1024, 32500, 1000
  local bucket, id = {}, {} -- of each field
  local texts = {} -- by bucket: marks, one after the other
  local changed = {} -- buckets that save writes
  local stale, known = false, false -- whether the hash is to be replaced, and whether that is known
  local self = {}

  local function raw5(n)
    return char(floor(n / 4294967296) % 256, floor(n / 16777216) % 256, floor(n / 65536) % 256, floor(n / 256) % 256, n % 256)
  end

  local function hmget(names)
    local reply = pcall('HMGET', key, unpack(names))
    if reply.err and not find(reply.err, 'WRONGTYPE', 1, true) then call('HMGET', key, unpack(names)) end -- raises the error
    return reply
  end

  -- load reads what there is for these fields. The other functions are for fields that were loaded.
  function self.load(fields)
    if not known then
      known, stale = true, hmget({GENERATION})[1] ~= generation
    end
    local names = {}
    for i = 1, #fields do
      local field = fields[i]
      local sum = redis.sha1hex(field)
      local b = tostring(tonumber(sub(sum, 1, 3), 16) % BUCKETS)
      bucket[field], id[field] = b, raw5(tonumber(sub(sum, 4, 13), 16))
      if not texts[b] then
        texts[b] = ''
        names[#names + 1] = b
      end
    end
    if stale then return end
    for from = 1, #names, CHUNK do
      local part = {unpack(names, from, math.min(from + CHUNK - 1, #names))}
      local found = hmget(part)
      for i = 1, #part do
        local text = found[i]
        if text and #text % SIZE == 0 and #text <= LONGEST then texts[part[i]] = text end
      end
    end
  end

  -- at returns where the mark of a field begins. A text in which the bytes of a series stand
  -- again and again between marks is not one that shoal wrote.
  local function at(field)
    local text, from = texts[bucket[field]], 1
    for _ = 1, 100 do
      local i = find(text, id[field], from, true)
      if not i or i % SIZE == 1 then return i end
      from = i + 1
    end
  end

  local function put(field, mark)
    local b, i = bucket[field], at(field)
    local text = texts[b]
    if i then
      text = sub(text, 1, i - 1) .. mark .. sub(text, i + SIZE)
    elseif #text + SIZE <= LONGEST then
      text = text .. mark
    end
    if text ~= texts[b] then
      texts[b] = text
      changed[b] = true
    end
  end

  -- get returns the start of a series and the epoch in which it was held last; nil if it has no mark.
  function self.get(field)
    local i = at(field)
    if not i then return nil end
    local a, b, c, d, e, f, g, epoch = string.byte(texts[bucket[field]], i + 5, i + 12)
    return ((((((a * 256 + b) * 256 + c) * 256 + d) * 256 + e) * 256) + f) * 256 + g, epoch
  end

  function self.set(field, start, epoch)
    put(field, id[field] .. char(floor(start / 281474976710656) % 256, floor(start / 1099511627776) % 256) ..
      raw5(start) .. char(epoch % 256))
  end

  function self.remove(field)
    if at(field) then put(field, '') end
  end

  -- clear removes all marks.
  function self.clear()
    for b in pairs(texts) do texts[b] = '' end
    known, stale = true, true
  end

  -- save writes the changes. The caller has written before, so Redis does not refuse it for
  -- want of memory.
  function self.save()
    if not next(changed) and not stale then return end
    local set, gone = {}, {}
    if stale then
      call('UNLINK', key)
      set = {GENERATION, generation}
    end
    for b in pairs(changed) do
      if texts[b] ~= '' then
        set[#set + 1] = b
        set[#set + 1] = texts[b]
      elseif not stale then
        gone[#gone + 1] = b
      end
    end
    for from = 1, #gone, CHUNK do
      call('HDEL', key, unpack(gone, from, math.min(from + CHUNK - 1, #gone)))
    end
    for from = 1, #set, CHUNK do
      call('HSET', key, unpack(set, from, math.min(from + CHUNK - 1, #set)))
    end
    changed, stale = {}, false
  end

  return self
end

