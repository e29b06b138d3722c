-- Take the oldest message of the first list that has one and record it as unacknowledged, in one step: whoever dies
-- before, during or after this call, the message is either in its list or in the record.
--
-- KEYS: hash of unacknowledged messages, its index by time, then the lists in the order in which they are served.
-- ARGV: for each list the name of its queue and '1' if what is taken from it must be recorded.
-- Returns the queue's name and the message, or nothing.
for i = 3, #KEYS do
  local message = redis.call('RPOP', KEYS[i])
  if message then
    local queue = ARGV[2 * (i - 2) - 1]
    -- The server's clock, since the clocks of workers on several machines differ.
    local time = redis.call('TIME')
    local now = time[1] .. '.' .. string.format('%06d', time[2])
    if ARGV[2 * (i - 2)] ~= '1' then
      return {queue, message}
    end
    local understood, content = pcall(cjson.decode, message)
    local properties = understood and type(content) == 'table' and content.properties
    local tag = type(properties) == 'table' and properties.delivery_tag
    if type(tag) ~= 'string' then
      -- Not a message at all: it gets what the record needs, and message.py makes a malformed message of it.
      tag = redis.sha1hex(now .. message)
      properties = {delivery_tag = tag, delivery_info = {exchange = '', routing_key = queue}}
      message = cjson.encode({malformed = message, properties = properties})
    end
    -- Kombu's own form: message, exchange, routing key. The nameless exchange leads back to the very list.
    redis.call('HSET', KEYS[1], tag, '[' .. message .. ',"",' .. cjson.encode(queue) .. ']')
    redis.call('ZADD', KEYS[2], now, tag)
    return {queue, message}
  end
end
return false
