-- Emissions as trackers send them, one a request: no id, and each with a time and numbers of its own.
--
--     wrk -s singles.lua URL -- TOKEN RUN_PREFIX RUNS
--
-- The runs' ids are the prefix and twelve hexadecimal digits, from 0 on. Prints the figures as a line of JSON.

local NUMBERS = 1009 -- different sets of numbers: making them for each request would cost more than sending it

local head, runs, numbers
local count, now, second = 0, 0, ""

local function number(scale)
  return string.format("%.17g", math.random() * scale)
end

local function some_numbers()
  return '"duration":15,"emissions_sum":' .. number(1e-5) .. ',"emissions_rate":' .. number(1e-6)
    .. ',"cpu_power":' .. number(100) .. ',"gpu_power":0.0,"ram_power":20.0,"cpu_energy":' .. number(1e-4)
    .. ',"gpu_energy":0,"ram_energy":' .. number(1e-5) .. ',"energy_consumed":' .. number(1e-4)
    .. ',"cpu_utilization_percent":' .. number(100) .. ',"gpu_utilization_percent":0,"ram_utilization_percent":'
    .. number(100) .. ',"wue":0.0}'
end

function init(args)
  head = "POST /emissions HTTP/1.1\r\nHost: " .. wrk.headers["Host"] .. "\r\nUser-Agent: python-requests/2.28.1\r\n"
    .. "Accept-Encoding: gzip, deflate\r\nAccept: */*\r\nConnection: keep-alive\r\nContent-Type: application/json\r\n"
    .. "x-api-token: " .. args[1] .. "\r\nContent-Length: "
  runs, numbers = {}, {}
  for i = 1, tonumber(args[3]) do
    runs[i] = string.format('"run_id":"%s%012x",', args[2], i - 1)
  end
  for i = 1, NUMBERS do
    numbers[i] = some_numbers()
  end
end

-- The second is the clock's, what is behind its point is counted.
local function timestamp()
  if count % 1000 == 0 and os.time() ~= now then
    now = os.time()
    second = os.date("!%Y-%m-%dT%H:%M:%S.", now)
  end
  return second .. string.format("%06d", count % 1000000) .. "+00:00"
end

function request()
  local body = '{"timestamp":"' .. timestamp() .. '",' .. runs[count % #runs + 1] .. numbers[count % NUMBERS + 1]
  count = count + 1
  return head .. #body .. "\r\n\r\n" .. body
end

function done(summary, latency)
  local errors = summary.errors
  print(string.format('{"requests": %d, "seconds": %f, "refused": %d, "failed": %d, "p50": %f, "p99": %f}',
    summary.requests, summary.duration / 1e6, errors.status, errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
