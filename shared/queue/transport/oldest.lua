-- The message that is next in each list, without what is in it. KEYS: lists. Returns for each list three texts: the message's tag,
-- when it says that it was sent (seconds since 1970), and until when it was to wait (ISO 8601); each empty where there is none.
local found = {}
for place, key in ipairs(KEYS) do
  local message = redis.call('LRANGE', key, -1, -1)[1]
  local tag, sent_at, eta = '', '', ''
  if message then
    -- What is larger, or no message, is told by its length: it will hardly be followed by one as long.
    tag = 'of ' .. #message
    local understood, content = false, nil
    if #message <= 1048576 then
      understood, content = pcall(cjson.decode, message)
    end
    if understood and type(content) == 'table' then
      local headers, properties = content.headers, content.properties
      if type(properties) == 'table' and type(properties.delivery_tag) == 'string' then
        tag = string.sub(properties.delivery_tag, 1, 256)
      end
      if type(headers) == 'table' then
        sent_at = type(headers.sent_at) == 'number' and string.format('%.3f', headers.sent_at) or ''
        eta = type(headers.eta) == 'string' and string.sub(headers.eta, 1, 64) or ''
      end
    end
  end
  found[place] = {tag, sent_at, eta}
end
return found
