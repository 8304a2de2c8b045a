// Points of several loads in two numbers: their marks, the front of the best ones, throughput against latency.
"use strict";

const TIMES = ["TTFT", "TPOT", "ITL", "E2EL"];
const THROUGHPUTS = [["output_rate", "output tokens/s"], ["total_rate", "all tokens/s"], ["request_rate", "requests/s"], ["goodput", "good requests/s"]];
const AXES = { "load.concurrency": "requests in flight (limit)", "load.request_rate": "requested requests/s" };
const VERDICTS = [["VALID", "●"], ["SUSPECT", "▲"], ["INVALID", "✕"]];

const isRepeated = (point) => point.runs.length > 1;
const latencyOf = (point, name, share) => point.latency_ms[name]?.[share] ?? null;
const axisName = (axis) => AXES[axis] || axis;
const levelText = ({ level }) => (level === null || level === undefined ? "" : typeof level === "number" ? measure(level) : String(level));
const knownThroughputs = (points) => THROUGHPUTS.filter(([key]) => points.some((one) => one[key] !== null));

function pointName(point) {
  const settings = Object.entries(point.settings).map(([key, value]) => `${key} ${value === null ? "none" : value}`);
  const from = isRepeated(point) ? `median of ${plural(point.runs.length, "run")}` : `run ${point.run}`;
  return [`${point.model} on ${point.task}`, ...settings, from, point.certificate, point.failed ? `${whole(point.failed)} of ${whole(point.requests)} failed` : ""].filter(Boolean).join(", ");
}

// Placed points that no other one beats in both. `better` says of each axis whether more of it is better: 1, or -1.
// Numbers whose certificate is INVALID are on no front.
function front(placed, [betterX, betterY]) {
  const sorted = placed.filter(({ one }) => one.certificate !== "INVALID").sort((a, b) => betterX * (b.x - a.x) || betterY * (b.y - a.y));
  const found = [];
  for (const point of sorted) if (!found.length || betterY * (point.y - found[found.length - 1].y) > 0) found.push(point);
  return found;
}

// The mark of a point: its shape says the certificate, its colour the curve, and it is hollow where another point is better.
function pointMark(x, y, { one, tone, hollow, label }) {
  const style = `fill:${tone};stroke:${tone}`;
  const shape = { class: `dot ${one.certificate}${hollow ? " off" : ""}`, style };
  const title = v("title", {}, label);
  if (one.certificate === "INVALID") return v("path", { ...shape, style: `fill:none;stroke:${tone}`, d: `M${x - 4} ${y - 4}L${x + 4} ${y + 4}M${x + 4} ${y - 4}L${x - 4} ${y + 4}` }, title);
  if (one.certificate === "SUSPECT") return v("path", { ...shape, d: `M${x} ${y - 6}L${x + 6} ${y + 4.5}L${x - 6} ${y + 4.5}Z` }, title);
  return v("circle", { ...shape, cx: x, cy: y, r: 5 }, title);
}

// Where an axis draws a number of a point; null if the number is not known.
const drawnAt = (value, place) => (one) => (value(one) === null ? null : place(value(one)));

// The bars of a point of several runs: from the minimum to the maximum of each number. `across` and `up` say where.
function spreadBars(x, y, { one, tone, across, up }) {
  if (!isRepeated(one)) return [];
  const bar = (from, to) => v("path", { class: "spread", d: path([from, to]), style: `stroke:${tone}` });
  const ends = (place) => place && [one.minimum, one.maximum].map(place);
  const drawn = (found) => found && found.every((end) => end !== null);
  const [wide, high] = [ends(across), ends(up)];
  return [...(drawn(wide) ? [bar([wide[0], y], [wide[1], y])] : []), ...(drawn(high) ? [bar([x, high[0]], [x, high[1]])] : [])];
}

function markKeys(points) {
  const used = VERDICTS.filter(([name]) => points.some((one) => one.certificate === name));
  return h("ul", { class: "keys marks" }, used.map(([name, sign]) => h("li", {}, h("b", { "aria-hidden": "true" }, sign), name)));
}

// Labels are put beside their points, right of them or left; one that would cover another is left out.
function placedLabels(labels, width) {
  const taken = [];
  const parts = [];
  for (const { x, y, text } of labels) {
    const long = 6.5 * text.length + 4;
    const right = x + 10 + long < width;
    const box = { left: right ? x + 9 : x - 9 - long, right: right ? x + 9 + long : x - 9, top: y - 6, bottom: y + 6 };
    if (taken.some((other) => box.left < other.right && other.left < box.right && box.top < other.bottom && other.top < box.bottom)) continue;
    taken.push(box);
    parts.push(v("text", { class: "tick", x: right ? x + 9 : x - 9, y: y + 4, "text-anchor": right ? "start" : "end" }, text));
  }
  return parts;
}

// A chart of points in two numbers, with the front of each curve, or that of all.
function scatter({ points, series, x, y, better, together, label, height = 340 }) {
  const placed = points.map((one) => ({ one, x: x.value(one), y: y.value(one) })).filter((point) => point.x !== null && point.y !== null);
  const groups = together ? [placed] : series.map((name) => placed.filter(({ one }) => one.series === name));
  const fronts = groups.map((group) => front(group, better));
  const best = new Set(fronts.flat().map(({ one }) => one));
  const drawing = placed.length ? chart(height, label, (width, high) => {
    const most = ({ value }) => Math.max(...placed.flatMap(({ one }) => [value(one), isRepeated(one) ? value(one.maximum) : 0]), 0) * 1.08 || 1;
    const { across, up, parts } = frame({ width, height: high, x: [0, most(x)], y: [0, most(y)], xTitle: x.title, yTitle: y.title });
    series.forEach((name, place) => {
      const curve = placed.filter(({ one }) => one.series === name && typeof one.level === "number").sort((a, b) => a.one.level - b.one.level);
      parts.push(v("path", { class: "curve thin", d: path(curve.map((point) => [across(point.x), up(point.y)])), style: `stroke:${seriesColour(place)}` }));
    });
    fronts.forEach((line, place) => parts.push(v("path", { class: `curve${together ? " best" : ""}`, d: path(line.map((point) => [across(point.x), up(point.y)])), style: together ? undefined : `stroke:${seriesColour(place)}` })));
    const labels = [];
    for (const { one, x: right, y: top } of placed) {
      const tone = seriesColour(series.indexOf(one.series));
      const text = `${pointName(one)}: ${y.title} ${measure(top)}, ${x.title} ${measure(right)}`;
      parts.push(...spreadBars(across(right), up(top), { one, tone, across: drawnAt(x.value, across), up: drawnAt(y.value, up) }));
      parts.push(pointMark(across(right), up(top), { one, tone, hollow: !best.has(one), label: text }));
      labels.push({ x: across(right), y: up(top), text: levelText(one) });
    }
    return [...parts, ...placedLabels(labels, width)];
  }) : h("p", { class: "quiet" }, `No point has both ${x.title} and ${y.title}.`);
  return { drawing, best, missing: points.length - placed.length };
}

const legends = (points, series) => h("div", { class: "legends" }, keys(series.map((name, place) => [name, seriesColour(place)])), markKeys(points));
const without = (missing) => (missing ? h("p", { class: "quiet" }, `${plural(missing, "point")} ${missing === 1 ? "lacks" : "lack"} one of the two numbers.`) : "");

function tradeoffs({ points: { points, series } }) {
  if (points.length < 2) return;
  const shares = [...new Set(points.flatMap((one) => Object.keys(one.latency_ms.E2EL || {})))];
  const rates = knownThroughputs(points);
  const state = { latency: "E2EL", share: shares[0] || "p50", rate: rates.length ? rates[0][0] : "request_rate" };
  const holder = h("div");
  const set = (key) => (value) => { state[key] = value; show(); };
  function show() {
    const rate = THROUGHPUTS.find(([key]) => key === state.rate)[1];
    const { drawing, missing } = scatter({
      points, series, better: [-1, 1], label: "Throughput against latency",
      x: { title: `${state.latency} ${state.share}, ms`, value: (one) => latencyOf(one, state.latency, state.share) },
      y: { title: rate, value: (one) => one[state.rate] },
    });
    holder.replaceChildren(
      legends(points, series), drawing,
      h("p", { class: "quiet" }, `The number beside a point is its load: ${[...new Set(points.map((one) => axisName(one.axis)))].join(" or ")}. The thin line follows the load; the thick one joins the points that no other load of the curve beats in both, more throughput at less latency. The others are hollow.`),
      without(missing),
    );
  }
  show();
  shown(
    "tradeoffs",
    h("div", { class: "bar" }, picker("latency", TIMES.map((name) => [name, name]), set("latency"), state.latency), picker("of", shares.map((name) => [name, name]), set("share")), picker("throughput", rates, set("rate"), state.rate)),
    holder,
  );
}
