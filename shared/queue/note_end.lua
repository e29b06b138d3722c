-- Note in a batch's book how work on it came to no end, once: where the connection is lost over the answer, the same is said again.
--
-- KEYS: the book. ARGV: what this note alone has, seconds until the book expires, the field of who worked; then commands of three
-- words each: what is done, to which field, with which value.
-- Returns how many children died over none of the photos.
if redis.call('HGET', KEYS[1], 'noted') ~= ARGV[1] then
  redis.call('HSET', KEYS[1], 'noted', ARGV[1])
  redis.call('HDEL', KEYS[1], ARGV[3])
  for place = 4, #ARGV, 3 do
    redis.call(ARGV[place], KEYS[1], ARGV[place + 1], ARGV[place + 2])
  end
  redis.call('EXPIRE', KEYS[1], ARGV[2])
end
return tonumber(redis.call('HGET', KEYS[1], 'idle_deaths') or 0)
