-- install: opens an epoch with its base. The only absolute write; sent once per epoch, by the rebuild that committed it.
--
-- KEYS  1 inventory:stock:T   2 inventory:meta:T   3 inventory:lock:T
-- ARGV  1 incarnation   2 epoch   3 base, units
--
-- {OK, epoch}       the counter stands; locks of older epochs are gone, because their reservations are void
-- {STALE, epoch}    an epoch at least as new stands: this install came late
-- {BAD_ARG}         no epoch, or a base that is no integer >= 0

local epoch, base = integer(ARGV[2]), integer(ARGV[3])
if not epoch or epoch < 1 or not base then
  return {'BAD_ARG'}
end

-- No incarnation test: what an older process left is what is to be replaced. pcall and integer: a meta key that a stranger
-- overwrote holds no epoch, and must not keep the item closed for ever.
local installed = redis.pcall('HGET', KEYS[2], 'epoch')
if (type(installed) == 'string' and integer(installed) or 0) >= epoch then
  return {'STALE', installed}
end

redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3])
redis.call('SET', KEYS[1], ARGV[3])
redis.call('HSET', KEYS[2], 'epoch', ARGV[2], 'inc', ARGV[1], 'version', '0', 'avail', ARGV[3])
return {'OK', ARGV[2]}
