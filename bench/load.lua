-- wrk: cycle through the bodies of a file. Arguments: bodies, then pairs of header name and value. Wherever a body holds
-- the marker, the number of the request stands instead, in as many digits: no two requests are the same.
local marker = "@@@@@@@@@@@@"
local texts, turn, sent = {}, 0, 0

function init(args)
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
  for i = 2, #args, 2 do wrk.headers[args[i]] = args[i + 1] end
  for line in io.lines(args[1]) do
    local text, parts, from = wrk.format(nil, nil, nil, line), {}, 1
    while true do
      local start, stop = text:find(marker, from, true)
      parts[#parts + 1] = text:sub(from, (start or 0) - 1)
      if not start then break end
      from = stop + 1
    end
    texts[#texts + 1] = parts
  end
  sent = os.time() % 100000 * 1000000
end

function request()
  turn, sent = turn % #texts + 1, sent + 1
  return table.concat(texts[turn], string.format("%012d", sent))
end

function done(summary, latency, _)
  io.write(string.format('WICKET {"requests":%d,"seconds":%.6f,"p50_ms":%.4f,"p90_ms":%.4f,"p99_ms":%.4f,"errors":%d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(90) / 1e3,
    latency:percentile(99) / 1e3,
    summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout))
end
