-- Fills database 0 of programs/redis: strings, lists, sets, sorted sets,
-- hashes and a stream, all of them following from their numbers.
for i = 1, 20000 do
  redis.call('set', 'string:' .. i, string.rep(tostring(i), i % 60 + 1))
end
for i = 1, 20000, 3 do
  redis.call('append', 'string:' .. i, string.rep('x', i % 900))
  redis.call('setrange', 'string:' .. (i + 1), i % 3000, 'set')
end
for i = 1, 60000 do
  local slot = i % 200
  redis.call('rpush', 'list:' .. slot, 'value ' .. i * 7919)
  redis.call('sadd', 'set:' .. slot, i * 104729 % 50021)
  redis.call('zadd', 'sorted:' .. slot, i * 31 % 977, 'member' .. i)
  redis.call('hset', 'hash:' .. slot, 'field' .. i % 5003, string.rep('h', i % 70))
end
for i = 1, 10000 do
  redis.call('xadd', 'stream', i .. '-1', 'number', i, 'square', i * i)
end
for i = 0, 199, 2 do
  redis.call('sunionstore', 'union:' .. i, 'set:' .. i, 'set:' .. i + 1)
  redis.call('zunionstore', 'both:' .. i, 2, 'sorted:' .. i, 'sorted:' .. i + 1)
end
return redis.call('dbsize')
