-- The work of programs/lua: tables.lua COUNT
local count = tonumber(arg[1])

local function point(x, y)
  return { x = x, y = y, name = "p" .. x .. ":" .. tostring(type(y) == "table" and y[1] or y) }
end

local points = {}
for i = 1, count do
  points[i] = point(i % 1009, i % 997)
end

-- By name, the later wins; the tables of the others become garbage.
local by_name = {}
for _, p in ipairs(points) do
  by_name[p.name] = function() return p.x + p.y end
end

for i = 1, count, 3 do
  points[i] = point(i % 13, { i })
end

local parts, sum = {}, 0
for i, p in ipairs(points) do
  if type(p.y) == "number" then
    sum = sum + by_name[p.name]()
  end
  if i % 5 == 0 then
    parts[#parts + 1] = string.rep(p.name:sub(1, 3), i % 17)
  end
end
print(sum, #table.concat(parts, " "))
