-- Count a delivery of a batch and note what is in work of it, unless its job was stopped before anybody had begun it.
--
-- KEYS: why its job was stopped, the book of its deliveries, its result.
-- ARGV: field for why it was stopped, field of the count, field and value of who works on what, seconds until the book expires,
-- bytes of the result's head.
-- Returns the count, the head, why its job was stopped or '', and the book as it was found, the count included.
local stop = redis.call('HGET', KEYS[1], ARGV[1]) or ''
-- Of another program's result the head may end in the midst of a letter.
local head = string.match(redis.call('GETRANGE', KEYS[3], 0, ARGV[6]), '^[ -~]*')
if stop ~= '' and redis.call('EXISTS', KEYS[2]) == 0 then
  return {1, head, stop, {}}
end
local count = redis.call('HINCRBY', KEYS[2], ARGV[2], 1)
local book = redis.call('HGETALL', KEYS[2])
redis.call('HSET', KEYS[2], ARGV[3], ARGV[4])
redis.call('EXPIRE', KEYS[2], ARGV[5])
return {count, head, stop, book}
