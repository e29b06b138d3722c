-- Take the oldest message of the first list that has one and record it as unacknowledged, in one step: whoever dies
-- before, during or after this call, the message is either in its list or in the record.
--
-- KEYS: hash of unacknowledged messages, its index by time, then the lists in the order in which they are served.
-- ARGV: the most bytes that a message may have, how many are kept of one that is none or too large; then for each list the
-- name of its queue and '1' if what is taken from it must be recorded.
-- Returns the queue's name, the message and the tag of its record, without a tag if it is not recorded; or nothing.

-- Changes nothing, but is refused where the server is full: it would let a message be taken with which nothing can be done then.
redis.call('ZADD', KEYS[2], 'XX', 0, '')
for i = 3, #KEYS do
  local message = redis.call('RPOP', KEYS[i])
  if message then
    local queue = ARGV[2 * (i - 2) + 1]
    -- The server's clock, since the clocks of workers on several machines differ.
    local time = redis.call('TIME')
    local now = time[1] .. '.' .. string.format('%06d', time[2])
    if ARGV[2 * (i - 2) + 2] ~= '1' then
      return {queue, message}
    end
    local size = #message
    local understood, content = false, nil
    if size <= tonumber(ARGV[1]) then  -- larger ones are not looked into: it would hold up everybody
      understood, content = pcall(cjson.decode, message)
    end
    local properties = understood and type(content) == 'table' and content.properties
    local tag = type(properties) == 'table' and properties.delivery_tag
    local readable = type(tag) == 'string' and #tag <= 256
    -- A tag that somebody holds already would take that message's record away.
    if not readable or redis.call('HEXISTS', KEYS[1], tag) == 1 then
      tag = redis.sha1hex(now .. string.sub(message, 1, ARGV[2]))
    end
    if not readable then
      -- Not a message at all: it gets what the record needs, and message.py makes a malformed message of it.
      properties = {delivery_tag = tag, delivery_info = {exchange = '', routing_key = queue}}
      message = cjson.encode({malformed = string.sub(message, 1, ARGV[2]), size = size, properties = properties})
    end
    -- Kombu's own form: message, exchange, routing key. The nameless exchange leads back to the very list.
    redis.call('HSET', KEYS[1], tag, '[' .. message .. ',"",' .. cjson.encode(queue) .. ']')
    redis.call('ZADD', KEYS[2], now, tag)
    return {queue, message, tag}
  end
end
return false
