-- probe: looks at the counter, its unresolved locks and the markers of increases. Writes nothing.
--
-- KEYS  1 inventory:stock:T   2 inventory:meta:T   3 inventory:lock:T   4... inventory:delta:<event>:T
-- ARGV  1 incarnation   2 least age of the locks wanted, ms; 0: any age   3 most locks wanted; -1: all
--
-- {code, epoch, stock, locks, now_ms, [member, score, ...], [marker, ...]}
--   code      READY, or why not: MISSING, INCARNATION, CORRUPT
--   epoch     0 if none; stock 0 if missing; locks: unresolved ones of any age
--   now_ms    Redis' clock, by which pre_deduct dates the locks
--   members   the wanted ones, oldest first, each followed by the time of its reservation in ms
--   markers   1 if that increase was applied, else 0
-- {BAD_ARG}   an age or a limit that is none

local age, limit = integer(ARGV[2]), ARGV[3]
if not age or not (limit == '-1' or integer(limit)) then
  return {'BAD_ARG'}
end

-- A key of a wrong type is an answer here, not an error: the rebuild that it calls for needs the epoch that can still be read.
local _, refusal = pcall(ready, KEYS[2], KEYS[1], ARGV[1])
local epoch = redis.pcall('HGET', KEYS[2], 'epoch')
local stock = redis.pcall('GET', KEYS[1])
local locks = redis.pcall('ZCARD', KEYS[3])
local code = 'READY'
if refusal then
  code = refusal[3] or 'CORRUPT'
end
if type(locks) ~= 'number' then
  code, locks = 'CORRUPT', 0
end
if type(epoch) ~= 'string' or not integer(epoch) then
  epoch = '0'
end

local time = redis.call('TIME')
local now_ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local members = {}
if locks > 0 then
  -- Locks that were dated before the clock went back are younger than now.
  local youngest = age == 0 and '+inf' or decimal(now_ms - age)
  members = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', youngest, 'WITHSCORES', 'LIMIT', 0, limit)
end
local markers = {}
for i = 4, #KEYS do
  markers[#markers + 1] = redis.call('EXISTS', KEYS[i])
end

return {
  code, epoch, type(stock) == 'string' and stock or '0', locks, decimal(now_ms), members, markers,
}
