// The chart of latency over time: TTFT and E2EL of each request at the time of sending, or percentiles in parts.
"use strict";
const MOST_POINTS = 3000; // of more requests in view, percentiles in equal parts are drawn
const TIME_PARTS = 120;

function latencyOverTime(head, columns, start) {
  const times = [
    ["TTFT", columns.ttft, "first"],
    ["E2EL", columns.e2el, "second"],
  ];
  const ms = (ticks) => ticks * head.tick * 1000;

  function points(rows) {
    return times.map(([name, column, shade]) => {
      const known = rows.filter((row) => column[row] !== NONE);
      return { type: "scatter", mode: "markers", name, x: known.map((row) => start[row]), y: known.map((row) => ms(column[row])), marker: { size: 5, color: colour(shade), opacity: 0.7 }, hovertemplate: "%{y:,.4~g} ms" };
    });
  }

  function percentiles(rows, low, width) {
    return times.flatMap(([name, column, shade]) => {
      const parts = Array.from({ length: TIME_PARTS }, () => []);
      for (const row of rows) {
        if (column[row] === NONE) continue;
        parts[Math.min(TIME_PARTS - 1, Math.floor((start[row] - low) / width))].push(column[row]);
      }
      for (const part of parts) part.sort((a, b) => a - b);
      const x = parts.map((_, part) => low + (part + 0.5) * width);
      const at_ = (share) => parts.map((part) => (part.length ? ms(part[Math.min(part.length - 1, Math.ceil(share * part.length) - 1)]) : null));
      return [[0.5, "p50", 1.8, "solid"], [0.95, "p95", 1.2, "dot"]].map(([share, label, wide, dash]) => ({
        type: "scatter", mode: "lines", name: `${name} ${label}`, x, y: at_(share), connectgaps: false, line: { width: wide, dash, color: colour(shade) }, hovertemplate: "%{y:,.4~g} ms",
      }));
    });
  }

  return {
    id: "over-time",
    follows: true,
    draw([low, high]) {
      const rows = [];
      for (let row = 0, end = upTo(start, high); row < end; row++) if (start[row] >= low) rows.push(row);
      const few = rows.length <= MOST_POINTS;
      const width = (high - low) / TIME_PARTS;
      const traces = (few ? points(rows) : percentiles(rows, low, width)).filter((trace) => trace.y.some((y) => y !== null));
      const note = few ? "Each successful request at the time when it was sent." : `Successful requests by the time of sending, in parts of ${span(width)}: median and 95th percentile. Zoom in to see each request.`;
      return { traces, note, layout: { y: { title: { text: "latency" }, ticksuffix: " ms", tickformat: ",.4~g" }, x: { hoverformat: ".6~g" }, hovermode: few ? "closest" : "x unified" } };
    },
  };
}
