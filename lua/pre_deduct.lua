-- pre_deduct: takes units for an order and issues the token of the reservation.
--
-- KEYS  1 inventory:stock:T   2 inventory:meta:T   3 inventory:lock:T   4 inventory:deduct:<order>:T
-- ARGV  1 incarnation   2 order id   3 quantity   4 TTL of the deduct record, s   5 largest quantity
--
-- {OK, token, quantity, left, version}        taken now
-- {DUPLICATE, token, quantity}                the order holds this reservation already
-- {RESOLVED}                                  it held one in this epoch that is resolved: its row in MySQL knows the answer
-- {MISMATCH, quantity}                        it holds, or held, one of another quantity
-- {INSUFFICIENT, left, version, record}       too few units; record 1: it has a record of an earlier epoch
-- {NOT_READY, epoch, why}                     see ready.lua
-- {BAD_ARG}                                   quantity no integer in 1..largest, or a TTL or bound that is none

local order = ARGV[2]
local quantity, ttl, largest = integer(ARGV[3]), integer(ARGV[4]), integer(ARGV[5])
if not quantity or not ttl or not largest or quantity < 1 or quantity > largest or ttl < 1 then
  return {'BAD_ARG'}
end

local refusal, epoch, stock, version = ready(KEYS[2], KEYS[1], ARGV[1])
if refusal then
  return refusal
end

-- Strictly before the stock check: a repeated request must learn of its units when they were the last ones.
-- A record of an older epoch counts as absent, because its reservation is void.
local record = redis.call('GET', KEYS[4])
if record then
  local token, of_epoch, reserved = string.match(record, '^((%d+):%d+)|(%d+)$')
  if of_epoch == epoch then
    if reserved ~= ARGV[3] then
      return {'MISMATCH', reserved}
    end
    if redis.call('ZSCORE', KEYS[3], order .. '|' .. record) then
      return {'DUPLICATE', token, reserved}
    end
    return {'RESOLVED'}
  end
end

if stock < quantity then
  return {'INSUFFICIENT', decimal(stock), decimal(version), record and 1 or 0}
end

local next_version, left = decimal(version + 1), decimal(stock - quantity)
local token = epoch .. ':' .. next_version
local entry = token .. '|' .. ARGV[3]
local time = redis.call('TIME')
-- Seconds, and the first three of six digits of the microseconds.
local now_ms = time[1] .. string.sub('00000' .. time[2], -6, -4)

-- ZADD first: the lock set is the one key whose type was not read yet, so its refusal leaves nothing behind.
redis.call('ZADD', KEYS[3], now_ms, order .. '|' .. entry)
redis.call('SET', KEYS[4], entry, 'EX', ARGV[4])
redis.call('HSET', KEYS[2], 'version', next_version, 'avail', left)
redis.call('SET', KEYS[1], left)
return {'OK', token, ARGV[3], left, next_version}
