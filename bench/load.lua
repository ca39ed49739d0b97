-- wrk: cycle through the bodies of a file, each with a part that was never sent before. Arguments: bodies, then pairs of
-- header name and value. Where a body holds the marker, the number of the request stands instead, in as many digits.
local marker = "@@@@@@@@@@@@"
local heads, tails, turn, sent = {}, {}, 0, 0

function init(args)
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
  for i = 2, #args, 2 do wrk.headers[args[i]] = args[i + 1] end
  for line in io.lines(args[1]) do
    local text = wrk.format(nil, nil, nil, line)
    local from, to = text:find(marker, 1, true)
    heads[#heads + 1] = from and text:sub(1, from - 1) or text
    tails[#heads] = from and text:sub(to + 1) or false
  end
  sent = os.time() % 100000 * 1000000
end

function request()
  turn, sent = turn % #heads + 1, sent + 1
  if not tails[turn] then return heads[turn] end
  return heads[turn] .. string.format("%012d", sent) .. tails[turn]
end

function done(summary, latency, _)
  io.write(string.format('WICKET {"requests":%d,"seconds":%.6f,"p50_ms":%.4f,"p90_ms":%.4f,"p99_ms":%.4f,"errors":%d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(90) / 1e3,
    latency:percentile(99) / 1e3,
    summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout))
end
