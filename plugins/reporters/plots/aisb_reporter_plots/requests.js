// The charts of requests: lines, the number in flight, tokens a second, and latencies.
"use strict";
const MOST_LINES = COARSE ? 800 : 2000;
const MOST_MARKS = 1000;
const SLOWEST = 50;
const EXACT = 4000; // of so many starts and ends in view, each is drawn

// What of the requests in view is drawn: every one, or some evenly spread with the slowest and the failed.
function chosen(rows, most) {
  if (rows.length <= most) return rows;
  return Array.from({ length: most }, (_, n) => rows[Math.floor((n * rows.length) / most)]);
}

function requestLines(head, columns, start) {
  const { length, ttft, e2el, tpot_ns, late, output, reason } = columns;
  const { tick } = head;
  const shown = (value, factor, unit) => (value === NONE ? "" : `${number(value * factor)} ${unit}`);
  const slow = [...e2el.keys()].filter((row) => e2el[row] !== NONE);
  slow.sort((a, b) => e2el[b] - e2el[a]).splice(SLOWEST);

  function told(row) {
    const lines = [
      `<b>${folded(head.labels[row])}</b> (number ${counted(row * head.every + 1)})`,
      `sent at ${number(start[row], 6)} s`,
    ];
    if (length[row] === NONE) lines[1] = `never sent, planned or tried at ${number(start[row], 6)} s`;
    const more = [
      ["late", late[row], tick * 1000, "ms"],
      ["TTFT", ttft[row], tick * 1000, "ms"],
      ["TPOT", tpot_ns[row], 1e-6, "ms"],
      ["E2EL", e2el[row], tick * 1000, "ms"],
      ["output", output[row], 1, "tokens"],
    ];
    for (const [name, value, factor, unit] of more) {
      if (value !== NONE) lines.push(`${name} ${shown(value, factor, unit)}`);
    }
    if (reason[row]) lines.push(`<b>failed</b>: ${folded(head.reasons[reason[row] - 1][0])}`);
    return lines.join("<br>");
  }

  function bars(name, shade, parts, height) {
    return {
      type: "bar",
      orientation: "h",
      name,
      base: parts.map(([row, from]) => start[row] + from * tick),
      x: parts.map(([, from, to]) => (to - from) * tick),
      y: parts.map(([row]) => row * head.every + 1),
      width: height,
      hovertext: parts.map(([row]) => told(row)),
      textposition: "none",
      hoverinfo: "text",
      marker: { color: shade, line: { width: 0 } },
    };
  }

  return {
    id: "requests",
    draw([low, high]) {
      const over = (row) => start[row] + Math.max(0, length[row] === NONE ? 0 : length[row]) * tick;
      const rows = [];
      const failed = [];
      for (let row = 0, end = upTo(start, high); row < end; row++) {
        if (over(row) < low) continue;
        rows.push(row);
        if (reason[row] && over(row) <= high) failed.push(row);
      }
      const inView = new Set(rows);
      const even = chosen(rows, MOST_LINES);
      const extra = even === rows ? [] : slow.filter((row) => inView.has(row));
      const drawn = [...new Set([...even, ...extra])];
      const marked = chosen(failed, MOST_MARKS);
      const step = Math.max(1, rows.length / MOST_LINES) * head.every;
      const waiting = [];
      const decoding = [];
      const unsplit = [];
      for (const row of drawn) {
        if (length[row] === NONE) continue;
        const last = e2el[row] === NONE ? length[row] : e2el[row];
        if (ttft[row] === NONE) unsplit.push([row, 0, last]);
        else {
          waiting.push([row, 0, ttft[row]]);
          decoding.push([row, ttft[row], Math.max(last, ttft[row])]);
        }
      }
      const height = step * (rows.length > 150 ? 1 : 0.8);
      const traces = [
        bars("until the first token", colour("first"), waiting, height),
        bars("from there to the last", colour("second"), decoding, height),
      ];
      if (unsplit.length) traces.push(bars("without a first token", colour("third"), unsplit, height));
      if (failed.length) {
        traces.push({
          type: "scatter",
          mode: "markers",
          name: "failed",
          x: marked.map(over),
          y: marked.map((row) => row * head.every + 1),
          hovertext: marked.map(told),
          hoverinfo: "text",
          marker: { symbol: "x-thin", size: 8, line: { width: 2, color: colour("bad") }, color: colour("bad") },
        });
      }
      const first = rows.length ? rows[0] * head.every + 1 : 0;
      const final = rows.length ? rows[rows.length - 1] * head.every + 1 : 1;
      let note = `${counted(rows.length)} in view, all drawn, in the order of sending.`;
      if (drawn.length < rows.length) {
        note = `${counted(rows.length)} in view; drawn are ${counted(even.length)} of them, evenly spread, and the slowest: zoom in to see each.`;
      }
      if (failed.length) {
        note += ` ${counted(failed.length)} failed${marked.length < failed.length ? `, ${counted(marked.length)} of them marked` : ", marked ×"}.`;
      }
      const pad = Math.max(0.6, (final - first) * 0.01);
      return {
        traces,
        note,
        layout: {
          hovermode: "closest",
          hoverdistance: 8,
          barmode: "overlay",
          x: { showspikes: false },
          y: { range: [final + pad, first - pad], rangemode: "normal", title: { text: "request" }, tickformat: ",~s" },
        },
      };
    },
  };
}

// How many are in flight: each start and end, or the mean and the extremes of equal parts of the view.
function inFlight(head, columns, start) {
  const begins = [];
  const ends = [];
  for (let row = 0; row < start.length; row++) {
    if (columns.length[row] === NONE) continue;
    begins.push(start[row]);
    ends.push(start[row] + columns.length[row] * head.tick);
  }
  const from = Float64Array.from(begins);
  const to = Float64Array.from(ends).sort();
  const level = (time) => (upTo(from, time) - upTo(to, time)) * head.every;

  // Calls step(time, level) for each change in view; an end comes before a start at the same time.
  function walk(low, high, step) {
    let begun = upTo(from, low);
    let ended = upTo(to, low);
    while (true) {
      const next = Math.min(from[begun] ?? Infinity, to[ended] ?? Infinity);
      if (next > high) return;
      if (to[ended] === next) ended++;
      else begun++;
      step(next, (begun - ended) * head.every);
    }
  }

  function exactly(low, high) {
    const x = [low];
    const y = [level(low)];
    walk(low, high, (time, now) => {
      if (time === x[x.length - 1]) y[y.length - 1] = now;
      else {
        x.push(time);
        y.push(now);
      }
    });
    x.push(high);
    y.push(y[y.length - 1]);
    const steps = { type: "scatter", mode: "lines", name: "in flight", x, y, line: { shape: "hv", width: 1.5, color: colour("second") }, fill: "tozeroy", fillcolor: colour("band") };
    return [[steps], "Every start and end."];
  }

  function inParts(low, high) {
    const count = 600;
    const width = (high - low) / count;
    const mean = new Float64Array(count);
    const least = new Float64Array(count).fill(Infinity);
    const most = new Float64Array(count);
    let now = level(low);
    let before = low;
    const pass = (until) => {
      while (before < until) {
        const part = Math.min(count - 1, Math.floor((before - low) / width + 1e-9));
        const edge = part === count - 1 ? high : low + (part + 1) * width;
        const stop = Math.max(Math.min(until, edge), before + width * 1e-9);
        mean[part] += (now * (stop - before)) / width;
        least[part] = Math.min(least[part], now);
        most[part] = Math.max(most[part], now);
        before = stop;
      }
    };
    walk(low, high, (time, next) => {
      pass(time);
      now = next;
    });
    pass(high);
    const x = Array.from(mean, (_, part) => low + (part + 0.5) * width);
    const thin = { type: "scatter", mode: "lines", x, line: { width: 0.5, color: colour("third") }, hovertemplate: "%{y:,d}" };
    return [
      [
        { ...thin, name: "least", y: Array.from(least), showlegend: false },
        { ...thin, name: "most", y: Array.from(most), fill: "tonexty", fillcolor: colour("band"), showlegend: false },
        { type: "scatter", mode: "lines", name: "in flight (mean, least to most)", x, y: Array.from(mean), line: { width: 1.5, color: colour("second") }, hovertemplate: "%{y:,.4~g}" },
      ],
      `Bins of ${span(width)}: mean, minimum and maximum.`,
    ];
  }

  return {
    id: "flight",
    follows: true,
    draw([low, high]) {
      const changes = upTo(from, high) - upTo(from, low) + upTo(to, high) - upTo(to, low);
      const [traces, told] = changes > EXACT ? inParts(low, high) : exactly(low, high);
      let note = told;
      if (head.window) note += " Shaded: the stable stage.";
      // A line far above would leave no room for what it limits.
      const most = Math.max(...traces.flatMap((trace) => trace.y));
      if (head.limit > 2 * most) note += ` At most ${counted(head.limit)} were allowed.`;
      else if (head.limit) {
        traces.push({ type: "scatter", mode: "lines", name: "at most", x: [low, high], y: [head.limit, head.limit], line: { width: 1, dash: "dash", color: colour("quiet") }, hoverinfo: "skip" });
      }
      return { traces, note, layout: { y: { title: { text: "requests" }, tickformat: ",~s" }, x: { hoverformat: ".6~g" } } };
    },
  };
}

function tokenRates(head, columns) {
  const parts = columns.tokens;
  const part = head.token_part;
  return {
    id: "tokens",
    follows: true,
    draw([low, high]) {
      const first = Math.max(0, Math.floor(low / part));
      const last = Math.min(parts.length, Math.ceil(high / part));
      const together = Math.max(1, Math.ceil((last - first) / 150));
      const x = [];
      const y = [];
      for (let begin = Math.floor(first / together) * together; begin < last; begin += together) {
        const end = Math.min(begin + together, parts.length);
        let sum = 0;
        for (let n = begin; n < end; n++) sum += parts[n];
        x.push(((begin + end) / 2) * part);
        y.push(sum / 1000 / ((end - begin) * part));
      }
      const traces = [{ type: "scatter", mode: "lines", name: `${head.token_unit}/s`, x, y, line: { width: 1.5, shape: "hvh", color: colour("fourth") }, fill: "tozeroy", fillcolor: colour("band"), hovertemplate: "%{y:,.4~g}" }];
      return {
        traces,
        note: `Bins of ${span(together * part)}; ${head.token_note}.`,
        layout: { y: { title: { text: `${head.token_unit}/s` }, tickformat: ",~s" }, x: { hoverformat: ".6~g" }, showlegend: false },
      };
    },
  };
}

// Sorted values as the points of a distribution: all, or some whose share is exact, more of them at the end.
function distribution(values) {
  const sorted = Float64Array.from(values).sort();
  const n = sorted.length;
  const places = n <= 2000 ? [...sorted.keys()] : [];
  if (!places.length) {
    for (let k = 0; k <= 1000; k++) places.push(Math.min(n - 1, Math.round((k / 1000) * (n - 1))));
    for (let k = 1; k <= 500; k++) places.push(Math.round((0.99 + (k / 500) * 0.01) * (n - 1)));
  }
  const unique = [...new Set(places)].sort((a, b) => a - b);
  return { x: unique.map((place) => sorted[place]), y: unique.map((place) => (100 * (place + 1)) / n) };
}

async function latencies(head, columns) {
  const { ttft, e2el, tpot_ns, late, reason } = columns;
  const ms = head.tick * 1000;
  const of = (value) => {
    const found = [];
    for (let row = 0; row < ttft.length; row++) {
      const one = reason[row] ? NaN : value(row);
      if (!Number.isNaN(one)) found.push(one);
    }
    return found;
  };
  const known = (column, row, factor) => (column[row] === NONE ? NaN : column[row] * factor);
  const curves = [
    ["TTFT", "first", "solid", of((row) => known(ttft, row, ms))],
    ["TPOT", "fourth", "solid", of((row) => known(tpot_ns, row, 1e-6))],
    ["E2EL", "second", "solid", of((row) => known(e2el, row, ms))],
    ["TTFT from planned", "first", "dash", of((row) => known(ttft, row, ms) + known(late, row, ms))],
    ["E2EL from planned", "second", "dash", of((row) => known(e2el, row, ms) + known(late, row, ms))],
  ].filter(([, , , values]) => values.length);
  const points = curves.map(([, , , values]) => distribution(values));
  let counts = curves.map(([name, , , values]) => `${name} ${counted(values.length)}`).join(", ");
  counts = `Answered requests of the whole run: ${counts}. `;
  const less = points.some((curve, n) => curve.x.length < curves[n][3].length);
  at("latencies-note").textContent =
    counts + (less ? "Curves of so many go through 1,500 of their points." : "") +
    (curves.length > 3 ? " From planned: what a user would have waited." : "");
  const ends = points.flatMap((curve) => [curve.x[0], curve.x[curve.x.length - 1]]).filter((value) => value > 0);
  const ticks = [];
  for (let tick = ends.length ? round(Math.min(...ends) / 2) : Infinity; tick <= Math.max(...ends) * 2; tick = round(tick * 1.5)) ticks.push(tick);
  const tens = ticks.filter((tick) => Number.isInteger(Math.round(1e6 * Math.log10(tick)) / 1e6));
  const marked = () => (innerWidth < 600 && tens.length > 1 ? tens : ticks);
  const range = ends.length ? [Math.log10(Math.min(...ends)) - 0.05, Math.log10(Math.max(...ends)) + 0.05] : [0, 1];
  let scale = "log";
  const draw = async () => {
    const traces = curves.map(([name, shade, dash], n) => ({
      type: "scatter",
      mode: "lines",
      name,
      ...points[n],
      line: { shape: "hv", width: 1.8, dash, color: colour(shade) },
      hovertemplate: "%{y:.4~g} % within %{x:,.4~g} ms",
    }));
    const drawn = layout({
      x: scale === "log" ? { type: scale, range, tickmode: "array", tickvals: marked(), ticktext: marked().map((tick) => span(tick / 1000)) } : { ticksuffix: " ms", rangemode: "tozero" },
      y: { range: [0, 101], title: { text: "share of requests" }, ticksuffix: " %" },
      hovermode: "closest",
    });
    await Plotly.react("latencies", traces, drawn, { ...CONFIG, doubleClick: "reset" });
  };
  at("scale").addEventListener("click", () => {
    at("scale").textContent = `${scale} scale`;
    scale = scale === "log" ? "linear" : "log";
    draw();
  });
  return draw;
}

function failures(head) {
  if (!head.reasons.length) return;
  at("failures").hidden = false;
  for (const [reason, count] of head.reasons) {
    const line = document.createElement("tr");
    line.append(element("td", counted(count)), element("td", reason));
    at("failures").querySelector("tbody").append(line);
  }
}

// What is drawn of the requests: charts over time, and one of latencies.
function requestCharts(head, columns) {
  const start = summed(columns.start, head.tick);
  failures(head);
  at("tokens-title").textContent = `Output ${head.token_unit} a second`;
  return {
    times: [requestLines(head, columns, start), latencyOverTime(head, columns, start), inFlight(head, columns, start), tokenRates(head, columns)],
    spread: () => latencies(head, columns),
  };
}
