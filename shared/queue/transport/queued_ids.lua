-- Names of the tasks of some messages of a list, so that only ids travel. KEYS: list. ARGV: first, last.
local ids = {}
for _, message in ipairs(redis.call('LRANGE', KEYS[1], ARGV[1], ARGV[2])) do
  local understood, content = pcall(cjson.decode, message)
  local headers = understood and type(content) == 'table' and content.headers
  ids[#ids + 1] = type(headers) == 'table' and type(headers.id) == 'string' and headers.id or ''
end
return ids
