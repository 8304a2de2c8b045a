// A performance run: what every subtask came to, percentiles, slow and failed requests, plots.
"use strict";

function loadTable({ summary: { performance: found } }) {
  if (!found.length) return;
  const spread = (one, name, key) => (key === "median" ? one.stages.total.parameters[name]?.median : one.stages.total.parameters[name]?.percentiles[key]);
  const known = knownPercentiles(found[0]);
  const last = known.includes("99") ? "99" : known.at(-1);
  const value = (name, read, show = measure, title) => ({ name, title, value: read, show: (one) => show(read(one)) });
  const columns = [
    { name: "task", left: true, value: (one) => one.task, show: (one) => one.task },
    { name: "model", left: true, value: (one) => one.model, show: (one) => one.model },
    { name: "certificate", left: true, value: (one) => one.certificate.verdict, show: (one) => h("span", { class: `verdict-word ${one.certificate.verdict}` }, one.certificate.verdict) },
    value("requests", (one) => one.stages.total.common.requests, whole),
    value("failed", (one) => one.stages.total.common.failed, whole),
    value("in flight", (one) => one.achieved.concurrency, measure, "on average"),
    value("requests/s", (one) => one.stages.total.common.request_rate),
    value("tokens/s", (one) => one.stages.total.common.output_rate, measure, "output tokens a second"),
    ...["TTFT", "TPOT", "E2EL"].flatMap((name) => [value(`${name} ms`, (one) => spread(one, name, "median"), measure, "median"), last && value(`P${last}`, (one) => spread(one, name, last))]).filter(Boolean),
  ];
  shown("load", scrolled(sortable(columns, found)));
}

const PARAMETER_ROWS = ["E2EL", "TTFT", "TPOT", "ITL", "InputTokens", "OutputTokens", "OutputTokenThroughput", "PrefillTokenThroughput", "TTFB", "TTFC", "ICL", "E2EL(close)", "TTFT(planned)", "E2EL(planned)", "Lateness"];
const PARAMETER_UNITS = { InputTokens: "tokens", OutputTokens: "tokens", OutputTokenThroughput: "token/s", PrefillTokenThroughput: "token/s" };
const COMMON_ROWS = [["Benchmark duration", "duration_ms", "ms"], ["Requests", "requests"], ["Failed", "failed"], ["Succeeded", "succeeded"], ["Concurrency", "concurrency"], ["Max concurrency", "max_concurrency"], ["Requests a second", "request_rate"], ["Input tokens", "input_tokens"], ["Prefill tokens a second", "prefill_rate"], ["Output tokens", "output_tokens"], ["Input tokens a second", "input_rate"], ["Output tokens a second", "output_rate"], ["All tokens a second", "total_rate"]];

function knownPercentiles(one) {
  return Object.keys(one.stages.total.parameters.E2EL?.percentiles || {}).sort((a, b) => a - b);
}

function percentilesTable(one) {
  const stages = Object.keys(one.stages);
  const percents = knownPercentiles(one);
  const lines = PARAMETER_ROWS.flatMap((name) => stages.filter((stage) => one.stages[stage].parameters[name]).map((stage) => ({ name, stage, spread: one.stages[stage].parameters[name] })));
  const cells = ({ spread }) => [spread.average, spread.minimum, spread.maximum, spread.median, ...percents.map((key) => spread.percentiles[key])];
  return h("table", {},
    h("thead", {}, h("tr", {}, ["", "unit", stages.length > 1 && "stage"].filter((text) => text !== false).map((text) => h("th", { scope: "col" }, text)), ["average", "min", "max", "median", ...percents.map((key) => `P${key}`), "n"].map((text) => h("th", { class: "n", scope: "col" }, text)))),
    h("tbody", {}, lines.map((line) => h("tr", {}, h("th", { scope: "row" }, line.name), h("td", { class: "quiet" }, PARAMETER_UNITS[line.name] || "ms"), stages.length > 1 && h("td", {}, line.stage), cells(line).map((value) => h("td", { class: "n" }, measure(value))), h("td", { class: "n" }, whole(line.spread.n))))),
  );
}

function commonTable(one) {
  const stages = Object.keys(one.stages);
  return h("table", {},
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, ""), stages.map((stage) => h("th", { class: "n", scope: "col" }, stage)))),
    h("tbody", {}, COMMON_ROWS.map(([name, key, unit]) => h("tr", {}, h("th", { scope: "row" }, name, unit ? h("span", { class: "quiet" }, ` ${unit}`) : ""), stages.map((stage) => h("td", { class: "n" }, measure(one.stages[stage].common[key])))))),
  );
}

// When requests were slow or failed: a mark each over time, and the list with the reasons.
function trouble(rows, span_) {
  if (!rows.length) return null;
  const known = rows.filter((one) => one.at !== null);
  const most = Math.max(...known.map((one) => one.e2el ?? 0), 1);
  const drawing = chart(200, "Slow and failed requests over time", (width, height) => {
    const { across, up, parts } = frame({ width, height, x: [0, span_ || 1], y: [0, most * 1.1], xTitle: "s", yTitle: "E2EL, ms" });
    for (const one of known) {
      const [x, y] = [across(one.at), up(one.e2el ?? 0)];
      const title = v("title", {}, `${one.id} at ${number(one.at)} s: ${one.reason || "slow"}`);
      if (one.failed) parts.push(v("path", { class: "cross", d: `M${x - 4} ${y - 4}L${x + 4} ${y + 4}M${x + 4} ${y - 4}L${x - 4} ${y + 4}` }, title));
      else parts.push(v("line", { class: "slow", x1: x, x2: x, y1: up(0), y2: y }), v("circle", { class: "slow-dot", cx: x, cy: y, r: 3.5 }, title));
    }
    return parts;
  });
  const columns = [
    { name: "at, s", value: (one) => one.at, show: (one) => measure(one.at) },
    { name: "request", left: true, value: (one) => one.id, show: (one) => one.id },
    { name: "", left: true, value: (one) => (one.failed ? 0 : 1), show: (one) => (one.failed ? h("span", { class: "verdict-word INVALID" }, "failed") : "slow") },
    { name: "E2EL ms", value: (one) => one.e2el, show: (one) => measure(one.e2el) },
    { name: "TTFT ms", value: (one) => one.ttft, show: (one) => measure(one.ttft) },
    { name: "tokens", value: (one) => one.tokens, show: (one) => whole(one.tokens) },
    { name: "reason", left: true, value: (one) => one.reason, show: (one) => one.reason || "every part of it took a little longer" },
  ];
  const failed = rows.filter((one) => one.failed).length;
  return h("div", { class: "trouble" },
    h("h3", {}, "Slow and failed requests"),
    h("p", { class: "quiet" }, `${whole(failed)} failed (×), and the slowest of those answered (${whole(rows.length - failed)}), in the order of time.`),
    drawing,
    h("div", { class: "tall" }, scrolled(sortable(columns, rows))),
  );
}

async function speeds({ summary: { performance: found } }) {
  if (!found.length) return;
  await library();
  const holder = h("div");
  let redraw = () => {};
  async function show(place) {
    const one = found[place];
    const unpacked = await kept(place);
    const { requests, rates } = unpacked;
    const known = requests.columns.start.length > 0 || !one.stages.total.common.requests;
    for (const drawn_ of holder.querySelectorAll(".js-plotly-plot")) Plotly.purge(drawn_);
    holder.replaceChildren(
      h("div", { class: "columns" }, h("div", {}, h("h3", {}, "Percentiles"), scrolled(percentilesTable(one))), h("div", {}, h("h3", {}, "Common"), scrolled(commonTable(one)))),
      ...[trouble(unpacked.slow, requests.head.span)].filter(Boolean),
      known ? at("charts").content.cloneNode(true) : h("p", { class: "quiet" }, "The times of single requests are unknown, so there are no plots."),
      h("ul", { class: "notes quiet" }, one.notes.map((note) => h("li", {}, note))),
    );
    for (const heading of holder.querySelectorAll("section > h2")) heading.replaceWith(h("h3", { id: heading.id || undefined }, ...heading.childNodes));
    redraw = !known ? () => {} : await drawn(requests.head, [requestCharts(requests.head, requests.columns), rateCharts(rates.head, rates.columns)]);
  }
  const held = new Map();
  function kept(place) {
    const unpack = async () => ({
      requests: decoded(await inflated(`requests-${place}`)),
      rates: decoded(await inflated(`rates-${place}`)),
      slow: JSON.parse(new TextDecoder().decode(await inflated(`slow-${place}`))),
    });
    if (!held.has(place)) held.set(place, unpack());
    return held.get(place);
  }
  const options = found.map((one, place) => [String(place), `${one.task} · ${one.model}`]);
  shown("speed", ...[found.length > 1 && h("div", { class: "bar" }, picker("subtask", options, (place) => show(Number(place)))), holder].filter(Boolean));
  theme.heard(() => redraw());
  await show(0);
}
