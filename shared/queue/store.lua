-- Keep how a task ended, tell whoever listens, and forget its deliveries, in one step. A success that is there already stays:
-- a child that was taken for dead may have answered.
--
-- KEYS: the result, the book of the task's deliveries. ARGV: the record, seconds until it expires, bytes of a record's head, what
-- stands in that of a success.
if not string.find(redis.call('GETRANGE', KEYS[1], 0, ARGV[3]), ARGV[4], 1, true) then
  -- First of what is written: a server whose memory is full refuses a script that has written nothing yet.
  redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
  redis.call('PUBLISH', KEYS[1], ARGV[1])
end
redis.call('DEL', KEYS[2])
