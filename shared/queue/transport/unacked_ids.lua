-- Names of the tasks of some unacknowledged messages. KEYS: hash. ARGV: cursor, count. Returns the next cursor and the ids.
local page = redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
local ids = {}
for i = 2, #page[2], 2 do
  local understood, content = pcall(cjson.decode, page[2][i])
  local headers = understood and type(content) == 'table' and type(content[1]) == 'table' and content[1].headers
  ids[#ids + 1] = type(headers) == 'table' and type(headers.id) == 'string' and headers.id or ''
end
return {page[1], ids}
