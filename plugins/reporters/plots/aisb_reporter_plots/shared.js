// What every page needs: unpack its data, show numbers, draw in its colours, and say when it is drawn.
"use strict";
const NONE = -2147483648; // "not known" in every column
const COARSE = matchMedia("(pointer: coarse)").matches;

const at = (id) => document.getElementById(id);

async function inflated(id) {
  const text = atob(at(id).textContent.trim());
  at(id).remove();
  const packed = new Uint8Array(text.length); // in a loop: Uint8Array.from takes a third of a second for plotly
  for (let place = 0; place < text.length; place++) packed[place] = text.charCodeAt(place);
  return new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"))).arrayBuffer();
}

// The form is described in data.py.
function decoded(buffer) {
  const size = new DataView(buffer).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, size)));
  const columns = {};
  let offset = 4 + size;
  for (const [name, count] of head.columns) {
    columns[name] = new Int32Array(buffer.slice(offset, offset + 4 * count));
    offset += 4 * count;
  }
  return { head, columns };
}

// The sums of steps: times in seconds.
function summed(steps, tick) {
  const times = new Float64Array(steps.length);
  let sum = 0;
  for (let row = 0; row < steps.length; row++) times[row] = (sum += steps[row]) * tick;
  return times;
}

// How many of the sorted values are at most this one.
function upTo(sorted, value) {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] <= value) low = middle + 1;
    else high = middle;
  }
  return low;
}

// plotly reads a few tags in its labels: nothing that comes from outside may be one.
function escaped(text) {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

function folded(text, width = 60) {
  const lines = text.match(new RegExp(`[^\\n]{1,${width}}`, "g")) || [];
  return lines.map(escaped).join("<br>");
}

function number(value, digits = 4) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 10 ** digits) return Math.round(value).toLocaleString("en");
  return String(Number(value.toPrecision(digits)));
}

const counted = (value) => value.toLocaleString("en");

// 1, 2 or 5 times a power of ten, at least this large.
function round(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * [1, 2, 5, 10].find((step) => step * power >= value * 0.999999);
}

function span(seconds) {
  return seconds < 1 ? `${number(seconds * 1000)} ms` : `${number(seconds)} s`;
}

function element(tag, text, name) {
  const made = document.createElement(tag);
  made.textContent = text;
  if (name) made.className = name;
  return made;
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function layout({ x = {}, y = {}, ...more }) {
  const axis = {
    gridcolor: colour("line"),
    linecolor: colour("line"),
    zeroline: false,
    automargin: false,
    exponentformat: "SI",
    spikecolor: colour("quiet"),
    spikethickness: 1,
    spikedash: "dot",
  };
  const narrow = innerWidth < 600;
  const named = { ...axis, showspikes: false, fixedrange: true, rangemode: "tozero", ...y };
  if (narrow) delete named.title; // the heading says it
  return {
    margin: { l: narrow ? 46 : 66, r: narrow ? 8 : 18, t: narrow ? 40 : 34, b: 30 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: colour("text"), family: getComputedStyle(document.body).fontFamily, size: narrow ? 11 : 12 },
    hoverlabel: {
      bgcolor: colour("panel"),
      bordercolor: colour("quiet"),
      font: { color: colour("text"), size: 12 },
      align: "left",
      namelength: -1,
    },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("quiet"), activecolor: colour("text") },
    hovermode: "x unified",
    showlegend: true,
    legend: { orientation: "h", x: 0, y: 1.01, yanchor: "bottom", font: { size: narrow ? 11 : 12 } },
    dragmode: COARSE ? false : "zoom",
    xaxis: { ...axis, ...x },
    yaxis: named,
    bargap: 0,
    ...more,
  };
}

const CONFIG = {
  displaylogo: false,
  doubleClick: false,
  displayModeBar: COARSE ? false : "hover",
  // Named one by one: among those that plotly adds by itself is one that shares a chart with its makers' cloud.
  modeBarButtons: [["toImage", "zoom2d", "pan2d"]],
  showSendToCloud: false,
  showTips: false,
  plotlyServerURL: "",
  responsive: true,
};

// Let plotly in: its bundle stands in the page, deflated.
async function library() {
  document.head.append(element("script", new TextDecoder().decode(await inflated("plotly"))));
}

// Draw the page; its root's `data-state` says what became of it.
async function page(draw) {
  try {
    await draw();
    at("state").textContent = "";
    document.documentElement.dataset.state = "drawn";
  } catch (error) {
    at("state").textContent =
      typeof DecompressionStream === "undefined"
        ? "This browser is too old to unpack the page: any of 2023 or later can."
        : `The page could not be drawn: ${error}`;
    document.documentElement.dataset.state = "failed";
    throw error;
  }
}
