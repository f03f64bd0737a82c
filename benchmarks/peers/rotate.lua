-- wrk -s rotate.lua URL -- FOLDER: posts FOLDER/00, 01, ... in turn with the lines of FOLDER/headers; prints one line of JSON.
local requests, turn = {}, 0

function init(args)
  local headers = {}
  for line in io.lines(args[1] .. "/headers") do
    local name, value = line:match("^(.-): (.*)$")
    headers[name] = value
  end
  local file = io.open(args[1] .. "/00", "rb")
  while file do
    requests[#requests + 1] = wrk.format("POST", nil, headers, file:read("*a"))
    file:close()
    file = io.open(string.format("%s/%02d", args[1], #requests), "rb")
  end
end

function request()
  turn = turn % #requests + 1
  return requests[turn]
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format('{"requests": %d, "seconds": %.6f, "p50_ms": %.4f, "p99_ms": %.4f, "errors": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    e.connect + e.read + e.write + e.status + e.timeout))
end
