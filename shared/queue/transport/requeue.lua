-- Put an unacknowledged message back into its queue, unless its state has changed since it was looked at: it may have been
-- acknowledged, put back by someone else, or its holder may have shown a sign of life.
--
-- KEYS: hash of unacknowledged messages, its index by time, list.
-- ARGV: delivery tag, message, the score that was seen ('' when the holder itself gives it back).
-- Returns 1 if the message was put back.
if ARGV[3] ~= '' then
  local score = redis.call('ZSCORE', KEYS[2], ARGV[1])
  if not score or tonumber(score) ~= tonumber(ARGV[3]) then
    return 0
  end
end
redis.call('ZREM', KEYS[2], ARGV[1])
if redis.call('HDEL', KEYS[1], ARGV[1]) == 0 then
  return 0
end
-- Messages are taken from the right: this one has waited longest.
redis.call('RPUSH', KEYS[3], ARGV[2])
return 1
