// Small charts drawn as SVG, in the page's own type and colours: lines, stacked bars, points.
"use strict";

function v(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== undefined) made.setAttribute(name, value);
  made.append(...children.flat().filter(Boolean));
  return made;
}

// A chart that is drawn anew for every width it gets. `draw(width, height)` returns what is in it.
function chart(height, label, draw) {
  const holder = h("div", { class: "svg", style: { height: `${height}px` } });
  let last = 0;
  const drawn = () => {
    const width = Math.round(holder.clientWidth);
    if (!width || width === last) return;
    last = width;
    holder.replaceChildren(v("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": label }, draw(width, height)));
  };
  new ResizeObserver(drawn).observe(holder);
  return holder;
}

function along(from, to, low, high) {
  const length = to - from || 1;
  return (value) => low + ((value - from) / length) * (high - low);
}

function ticks(low, high, most) {
  if (!(high > low)) return [low];
  const step = round((high - low) / most);
  const found = [];
  for (let tick = Math.ceil(low / step - 1e-9) * step; tick <= high + step * 1e-9; tick += step) found.push(Number(tick.toPrecision(12)));
  return found;
}

// The frame of a chart: grid lines, ticks and titles. Returns where values lie, and what is drawn.
function frame({ width, height, x, y, xTitle = "", yTitle = "", xTicks, yTicks, xLabel = measure, yLabel = measure }) {
  const edge = { left: 46, right: 14, top: 22, bottom: 36 };
  const across = along(x[0], x[1], edge.left, width - edge.right);
  const up = along(y[0], y[1], height - edge.bottom, edge.top);
  const parts = [];
  for (const tick of yTicks || ticks(y[0], y[1], 5)) {
    parts.push(v("line", { class: "grid", x1: edge.left, x2: width - edge.right, y1: up(tick), y2: up(tick) }));
    parts.push(v("text", { class: "tick", x: edge.left - 7, y: up(tick) + 4, "text-anchor": "end" }, yLabel(tick)));
  }
  for (const tick of xTicks || ticks(x[0], x[1], width < 500 ? 4 : 8)) {
    parts.push(v("text", { class: "tick", x: across(tick), y: height - edge.bottom + 17, "text-anchor": "middle" }, xLabel(tick)));
  }
  parts.push(v("line", { class: "axis", x1: edge.left, x2: width - edge.right, y1: height - edge.bottom, y2: height - edge.bottom }));
  parts.push(v("text", { class: "tick", x: width - edge.right, y: height - 3, "text-anchor": "end" }, xTitle));
  parts.push(v("text", { class: "tick", x: 0, y: 11 }, yTitle));
  return { across, up, parts, edge };
}

const path = (points) => points.map(([x, y], place) => `${place ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

const SERIES = ["second", "first", "fourth", "fifth", "bad", "third"];
// Beyond the colours of the page, hues that lie far apart and can be told on either background.
const seriesColour = (place) => (place < SERIES.length ? `var(--${SERIES[place]})` : `hsl(${(place * 137) % 360} 55% 52%)`);

function keys(entries) {
  return h("ul", { class: "keys" }, entries.map(([text, colours, dashed]) => h("li", {}, h("i", { class: dashed ? "dashed" : "", style: { "--colour": colours } }), text)));
}
