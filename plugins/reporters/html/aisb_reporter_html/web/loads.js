// Several loads: speed per user against total throughput, numbers by load, and all of them as a table.
"use strict";

const PERCENTILES = [["p50", "second"], ["p90", "fourth"], ["p95", "first"], ["p99", "bad"]];
const USER_RATES = [["user_rate", "over the whole reply"], ["writing_rate", "while it is written"]];

// Speed as one user sees it against what the service gives to all. Returns the points of the front.
function perUser({ points: { points, series } }) {
  const holder = h("div");
  function show(key) {
    const { drawing, best, missing } = scatter({
      points, series, better: [1, 1], together: true, label: "Tokens per second and user against tokens per second in total",
      x: { title: "output tokens/s per user", value: (one) => one[key] },
      y: { title: "output tokens/s in total", value: (one) => one.output_rate },
    });
    holder.replaceChildren(legends(points, series), drawing, without(missing));
    return best;
  }
  const best = show("user_rate");
  if (!best.size) return best;
  shown(
    "users",
    h("div", { class: "bar" }, picker("per user", USER_RATES, show)), holder,
    h("p", { class: "quiet" }, "Per user, over the whole reply: the median of output tokens ÷ E2EL, in which waiting counts. While it is written: 1000 ÷ median TPOT. The dashed line is the Pareto front over all curves: the points that no other one beats in both. INVALID results are on no front."),
  );
  return best;
}

// Where values of a load lie: even steps between powers of two where the loads span that much.
function levelScale(levels) {
  const doubling = levels[0] > 0 && levels[levels.length - 1] >= 8 * levels[0];
  const to = doubling ? Math.log2 : (value) => value;
  const room = levels.length > 1 ? 0.04 * (to(levels[levels.length - 1]) - to(levels[0])) || 1 : 1;
  return { to, from: doubling ? (value) => 2 ** value : (value) => value, range: [to(levels[0]) - room, to(levels[levels.length - 1]) + room] };
}

// Those of the ticks that do not touch on a chart of this width.
function spacedTicks(levels, { to, range }, width) {
  const shownTicks = [];
  let last = -Infinity;
  for (const level of levels) {
    const x = ((to(level) - range[0]) / (range[1] - range[0])) * (width - 60);
    const half = 3.5 * measure(level).length + 4;
    if (x - half < last) continue;
    shownTicks.push(to(level));
    last = x + half;
  }
  return shownTicks;
}

const numericLevels = (points) => [...new Set(points.map((one) => one.level).filter((level) => typeof level === "number"))].sort((a, b) => a - b);

// Lines over the load. Each line: {points, value(point), tone, name, dashed}.
// `scaled` are the lines whose values the vertical axis has room for: those of all charts that share it.
function byLoad({ axis, lines, scaled = lines, yTitle, logarithmic, label, height = 240 }) {
  const levels = numericLevels(lines.flatMap(({ points }) => points));
  const scale = levelScale(levels);
  const values = scaled.flatMap(({ points, value }) => points.flatMap((one) => (isRepeated(one) ? [one, one.minimum, one.maximum] : [one]).map(value))).filter((one) => one !== null && (!logarithmic || one > 0));
  const most = Math.max(...values, 0) || 1;
  const least = Math.min(...values);
  const y = logarithmic ? [Math.floor(Math.log10(least)), Math.max(Math.ceil(Math.log10(most)), Math.floor(Math.log10(least)) + 1)] : [0, most * 1.05];
  const height_ = (value) => (logarithmic ? Math.log10(value) : value);
  return chart(height, label, (width, high) => {
    const yTicks = logarithmic ? Array.from({ length: y[1] - y[0] + 1 }, (_, n) => y[0] + n) : undefined;
    const { across, up, parts } = frame({ width, height: high, x: scale.range, y, xTitle: axisName(axis), yTitle, yTicks, xTicks: spacedTicks(levels, scale, width), xLabel: (value) => measure(scale.from(value)), yLabel: logarithmic ? (value) => measure(10 ** value) : measure });
    for (const { points, value, tone, name, dashed } of lines) {
      const placed = points.map((one) => ({ one, number: value(one) })).filter(({ one, number: found }) => typeof one.level === "number" && found !== null && (!logarithmic || found > 0)).sort((a, b) => a.one.level - b.one.level);
      const at_ = ({ one, number: found }) => [across(scale.to(one.level)), up(height_(found))];
      parts.push(v("path", { class: "curve", d: path(placed.map(at_)), style: `stroke:${tone}`, "stroke-dasharray": dashed ? "5 4" : undefined }));
      for (const point of placed) parts.push(...spreadBars(...at_(point), { one: point.one, tone, up: drawnAt(value, (number) => (logarithmic && number <= 0 ? null : up(height_(number)))) }));
      for (const point of placed) parts.push(pointMark(...at_(point), { one: point.one, tone, hollow: dashed, label: `${pointName(point.one)}: ${name} ${measure(point.number)}` }));
    }
    return parts;
  });
}

// A chart for each curve: percentiles of a time over the load, all to one scale.
function percentilesByLoad({ points: { points, series } }) {
  const curves = series.map((name) => ({ name, points: points.filter((one) => one.series === name) })).filter((curve) => numericLevels(curve.points).length > 1);
  if (!curves.length) return;
  const known = TIMES.filter((name) => points.some((one) => one.latency_ms[name]));
  const state = { latency: known[0], scale: "linear" };
  const holder = h("div");
  const set = (key) => (value) => { state[key] = value; show(); };
  function show() {
    const lines = (curve) => PERCENTILES.map(([share, tone]) => ({ points: curve.points, value: (one) => latencyOf(one, state.latency, share), tone: `var(--${tone})`, name: `${state.latency} ${share}, ms` }));
    holder.replaceChildren(
      h("div", { class: "legends" }, keys(PERCENTILES.map(([share, tone]) => [share, `var(--${tone})`])), markKeys(points)),
      h("div", { class: "charts" }, curves.map((curve) => h("figure", {}, h("figcaption", {}, curve.name), byLoad({ axis: curve.points[0].axis, lines: lines(curve), scaled: curves.flatMap(lines), yTitle: `${state.latency}, ms`, logarithmic: state.scale === "logarithmic", label: `Percentiles of ${state.latency} by load, ${curve.name}` })))),
    );
  }
  show();
  shown("percentiles", h("div", { class: "bar" }, picker("time", known.map((name) => [name, name]), set("latency")), picker("scale", [["linear", "linear"], ["logarithmic", "logarithmic"]], set("scale"))), holder);
}

// Throughput over the load, a line a curve; loads in flight and rates are charts of their own.
function throughputByLoad({ points: { points, series } }) {
  const axes = [...new Set(points.map((one) => one.axis))].filter((axis) => numericLevels(points.filter((one) => one.axis === axis)).length > 1);
  const rates = knownThroughputs(points);
  if (!axes.length || !rates.length) return;
  const holder = h("div");
  function show(key) {
    const title = THROUGHPUTS.find(([name]) => name === key)[1];
    const lines = (axis) => series.map((name, place) => ({ points: points.filter((one) => one.series === name && one.axis === axis), value: (one) => one[key], tone: seriesColour(place), name: title })).filter((line) => line.points.length);
    holder.replaceChildren(
      legends(points, series),
      h("div", { class: "charts" }, axes.map((axis) => h("figure", {}, byLoad({ axis, lines: lines(axis), yTitle: title, label: `Throughput by load: ${title}`, height: 280 })))),
    );
  }
  show(rates[0][0]);
  shown("rates", h("div", { class: "bar" }, picker("throughput", rates, show)), holder);
}

// The same numbers as a table.
function pointsTable({ points: { points } }, best) {
  const shares = [...new Set(points.flatMap((one) => Object.keys(one.latency_ms.E2EL || {})))];
  const holder = h("div");
  const value = (name, read, show = measure, title, spread = () => "") => ({ name, title, value: read, show: (one) => (spread(one) ? h("span", {}, show(read(one)), h("small", { class: "range" }, spread(one))) : show(read(one))) });
  const word = (name, read, title) => ({ name, title, left: true, value: read, show: (one) => read(one) });
  const axes = [...new Set(points.map((one) => one.axis))];
  const load = (axis) => ({ name: axisName(axis), value: (one) => (one.axis === axis ? one.level : null), show: (one) => (one.axis === axis ? levelText(one) : "") });
  const number = (name, read, title) => value(name, read, measure, title, spreadOf(read));
  function show(share) {
    const columns = [
      word("curve", (one) => one.series),
      ...axes.map(load),
      { name: "certificate", left: true, value: (one) => one.certificate, show: (one) => h("span", { class: `verdict-word ${one.certificate}`, title: one.reasons.join("\n") }, one.certificate) },
      ...(points.some(isRepeated) ? [value("runs", (one) => one.runs.length, whole)] : []),
      value("requests", (one) => one.requests, whole),
      value("failed", (one) => one.failed, whole),
      number("in flight", (one) => one.concurrency, "on average"),
      ...knownThroughputs(points).map(([key, name]) => number(name, (one) => one[key])),
      number("per user", (one) => one.user_rate, "median of output tokens ÷ E2EL, per second"),
      ...TIMES.map((name) => number(`${name} ${share} ms`, (one) => latencyOf(one, name, share))),
      word("front", (one) => (best.has(one) ? "on it" : ""), "on the Pareto front of tokens/s per user and in total"),
      word("stage", (one) => one.stage, "stable: without the beginning and the end of the load"),
      word("run", (one) => one.run),
    ];
    holder.replaceChildren(scrolled(sortable(columns, points)));
  }
  show(shares[0] || "p50");
  shown("table", h("div", { class: "bar" }, picker("times", shares.map((name) => [name, name]), show)), holder, doubts(points));
}

// The minimum and the maximum of a number over the runs of a point, as text; nothing for a single run.
function spreadOf(read) {
  return (one) => (!isRepeated(one) || read(one.minimum) === null ? "" : `${measure(read(one.minimum))} to ${measure(read(one.maximum))}`);
}

function doubts(points) {
  const doubtful = points.filter((one) => one.reasons.length);
  if (!doubtful.length) return h("p", { class: "quiet" }, "Every certificate is VALID.");
  return h("details", {}, h("summary", {}, `Why ${plural(doubtful.length, "certificate is", "certificates are")} not VALID`), doubtful.map((one) => h("div", { class: `certificate ${one.certificate}` }, h("p", {}, h("strong", {}, one.certificate), ` ${one.series} · ${axisName(one.axis)} ${levelText(one)} · run ${one.run}`), h("ul", {}, one.reasons.map((reason) => h("li", {}, reason))))));
}
