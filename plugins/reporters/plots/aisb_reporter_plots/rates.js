// The charts of rates: requests a second as requested, planned and sent, lateness, and the intervals between requests.
"use strict";

// How many of the sorted times lie in each part of a view.
function histogram(times, low, width, count) {
  const found = new Float64Array(count);
  for (let n = upTo(times, low - width * 1e-9); n < times.length; n++) {
    const part = Math.floor((times[n] - low) / width + 1e-6);
    if (part >= count) break;
    if (part >= 0) found[part]++;
  }
  return found;
}

function rateChart(head, planned, sent) {
  return {
    id: "rate",
    follows: true,
    draw([low, high]) {
      const inView = Math.max(1, upTo(sent, high) - upTo(sent, low));
      // Parts so long that several requests lie in each: shorter ones would show their dice alone.
      const width = round(Math.max((high - low) / 150, Math.min((5 * (high - low)) / inView, (high - low) / 10)));
      const begin = Math.floor(low / width + 1e-9) * width;
      const count = Math.max(1, Math.ceil((high - begin) / width - 1e-9));
      const x = Array.from({ length: count }, (_, part) => begin + (part + 0.5) * width);
      const rate = (times) => Array.from(histogram(times, begin, width, count), (found) => (found * head.every) / width);
      const traces = [
        { type: "bar", name: "sent", x, y: rate(sent), width, marker: { color: colour("second"), line: { width: 0 } }, opacity: 0.75, hovertemplate: "%{y:,.4~g}/s" },
      ];
      if (planned.length) {
        traces.push({ type: "scatter", mode: "lines", name: "planned", x, y: rate(planned), line: { shape: "hvh", width: 1.5, color: colour("first") }, hovertemplate: "%{y:,.4~g}/s" });
      }
      if (head.requested.length) {
        traces.push({ type: "scatter", mode: "lines", name: "requested", x: head.requested.map((point) => point[0]), y: head.requested.map((point) => point[1]), line: { width: 1.8, dash: "dash", color: colour("text") }, hovertemplate: "%{y:,.4~g}/s" });
      }
      let note = `Bins of ${span(width)}.`;
      if (head.window) note += " Shaded: the stable stage.";
      if (!planned.length) note += " No rate was requested: each client sent its next request when its last one was answered.";
      return { traces, note, layout: { y: { title: { text: "requests/s" }, tickformat: ",~s" }, x: { hoverformat: ".6~g" } } };
    },
  };
}

function lateChart(head, columns, start) {
  return {
    id: "late",
    follows: true,
    draw([low, high]) {
      const count = 300;
      const width = (high - low) / count;
      const most = new Array(count).fill(null);
      for (let row = 0; row < start.length; row++) {
        if (start[row] < low || start[row] > high || columns.late[row] === NONE) continue;
        const part = Math.min(count - 1, Math.floor((start[row] - low) / width));
        most[part] = Math.max(most[part] ?? -Infinity, columns.late[row] * head.tick * 1000);
      }
      const x = Array.from(most, (_, part) => low + (part + 0.5) * width);
      const kept = [...most.keys()].filter((part) => most[part] !== null);
      const traces = [
        { type: "bar", name: "the latest", x: kept.map((part) => x[part]), y: kept.map((part) => most[part]), width, marker: { color: colour("third"), line: { width: 0 } }, hovertemplate: "%{y:,.4~g} ms" },
      ];
      const note = `The latest request in parts of ${span(width)}: when it was sent, less when it was planned.`;
      return { traces, note, layout: { y: { title: { text: "late" }, ticksuffix: " ms" }, x: { hoverformat: ".6~g" }, showlegend: false } };
    },
  };
}

function gaps(times, tick) {
  const found = new Float64Array(Math.max(0, times.length - 1));
  for (let n = 1; n < times.length; n++) found[n - 1] = Math.round((times[n] - times[n - 1]) / tick) * tick * 1000;
  return found.sort();
}

async function intervals(head, planned, sent) {
  const [wanted, seen] = [gaps(planned, head.tick), gaps(sent, head.tick)];
  const part = (sorted, share) => (sorted.length ? sorted[Math.floor(share * (sorted.length - 1))] : 0);
  const most = Math.max(part(wanted, 0.995), part(seen, 0.995)) || 1;
  const width = round(most / 60);
  const count = Math.floor(most / width) + 1;
  const x = Array.from({ length: count }, (_, n) => (n + 0.5) * width);
  const beyond = (sorted) => sorted.length - upTo(sorted, count * width);
  const share = (sorted) => Array.from(histogram(sorted, 0, width, count), (found) => (100 * found) / (sorted.length || 1));
  let note = `${counted(seen.length)} intervals, in parts of ${span(width / 1000)}.`;
  if (head.every > 1) note += ` They are between every ${head.every} requests.`;
  if (beyond(seen)) note += ` Longer than what is shown: ${counted(beyond(seen))}, up to ${span(seen[seen.length - 1] / 1000)}.`;
  at("intervals-note").textContent = seen.length ? note : "There are no two requests to lie apart.";
  return async () => {
    const hovertemplate = "%{y:.4~g} %";
    const traces = [{ type: "bar", name: "sent", x, y: share(seen), width, marker: { color: colour("second"), line: { width: 0 } }, opacity: 0.75, hovertemplate }];
    if (wanted.length) {
      traces.push({ type: "scatter", mode: "lines", name: "planned", x, y: share(wanted), line: { shape: "hvh", width: 1.5, color: colour("first") }, hovertemplate });
    }
    const drawn = layout({ x: { ticksuffix: " ms", hoverformat: ".4~g" }, y: { title: { text: "share of intervals" }, ticksuffix: " %" } });
    await Plotly.react("intervals", traces, drawn, { ...CONFIG, doubleClick: "reset" });
  };
}

// What is drawn of the rates: charts over time, and one of the intervals.
function rateCharts(head, columns) {
  const start = summed(columns.start, head.tick);
  const sent = start.filter((_, row) => columns.sent[row]);
  const plans = [];
  for (let row = 0; row < start.length; row++) {
    if (!columns.sent[row]) plans.push(start[row]);
    else if (columns.late[row] !== NONE) plans.push(start[row] - columns.late[row] * head.tick);
  }
  const planned = Float64Array.from(plans).sort();
  const times = [rateChart(head, planned, sent)];
  if (columns.late.some((late) => late !== NONE)) times.push(lateChart(head, columns, start));
  else at("late-section").remove();
  return { times, spread: () => intervals(head, planned, sent) };
}
