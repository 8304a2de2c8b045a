// Elements from plain descriptions, and numbers as the page shows them. Text is only ever set as text.
"use strict";

// h("td", {class: "n", title: "…"}, "text", child, …): strings become text, never markup.
function h(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [key, one] of Object.entries(value)) made.style.setProperty(key, one);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== undefined && child !== null && child !== false && child !== ""));
  return made;
}

const OUTCOMES = [
  ["correct", "✓", "the answer is right"],
  ["wrong", "✗", "an answer was found, and is not right"],
  ["truncated", "✂", "cut off before an answer was marked"],
  ["unparsed", "?", "no answer was found in the output"],
  ["refused", "⊘", "the model declined to answer"],
  ["error", "!", "the request failed, or grading did"],
  ["unscored", "·", "there is no verdict on it"],
].map(([name, mark, meaning]) => ({ name, mark, meaning }));

const percent = (value, digits = 2) => (value === null || value === undefined ? "–" : value.toFixed(digits));
const whole = (value) => (value === null || value === undefined ? "–" : value.toLocaleString("en"));
const measure = (value, digits = 4) => (value === null || value === undefined ? "–" : number(value, digits));
const plural = (count, one, many = `${one}s`) => `${whole(count)} ${count === 1 ? one : many}`;

function lasted(seconds) {
  if (seconds < 60) return `${number(seconds, 3)} s`;
  const minutes = Math.round(seconds / 60);
  return seconds < 3600 ? `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

function moment(iso) {
  const found = /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d)/.exec(iso || "");
  return found ? `${found[1]} ${found[2]} UTC` : "–";
}

function mark(outcome) {
  const { name, mark: sign, meaning } = OUTCOMES[outcome];
  return h("span", { class: `mark ${name}`, title: `${name}: ${meaning}`, "aria-label": name, role: "img" }, sign);
}

function badge(outcome) {
  const { name, mark: sign } = OUTCOMES[outcome];
  return h("span", { class: `badge ${name}` }, `${sign} ${name}`);
}

// A drop-down of [value, label] pairs with a name of its own.
function picker(label, options, change, value) {
  const select = h("select", { onchange: () => change(select.value) }, options.map(([key, text]) => h("option", { value: key }, text)));
  if (value !== undefined) select.value = value;
  return h("label", { class: "picker" }, h("span", {}, label), select);
}

// A table whose columns sort when their heading is pressed. Columns: {name, title, value(row), show(row), left}.
function sortable(columns, rows, { foot = [], sort = null, caption } = {}) {
  let order = { column: sort, down: true };
  const body = h("tbody");
  const heads = columns.map((column, place) =>
    h("th", { scope: "col", class: column.left ? "" : "n" }, h("button", { type: "button", class: "head", title: column.title, onclick: () => by(place) }, column.name)),
  );
  function fill() {
    const sorted = [...rows];
    if (order.column !== null) {
      const { value } = columns[order.column];
      const sign = order.down ? -1 : 1;
      sorted.sort((a, b) => {
        const [one, other] = [value(a), value(b)];
        if (one === null || one === undefined) return 1;
        if (other === null || other === undefined) return -1;
        return typeof one === "string" ? -sign * one.localeCompare(other, "en", { numeric: true }) : sign * (one - other);
      });
    }
    heads.forEach((head, place) => head.setAttribute("aria-sort", place !== order.column ? "none" : order.down === !columns[place].left ? "descending" : "ascending"));
    body.replaceChildren(...sorted.map((row) => line(row)));
  }
  const line = (row) => h("tr", {}, columns.map((column, place) => h(place ? "td" : "th", { class: column.left ? "" : "n", scope: place ? undefined : "row" }, column.show(row))));
  function by(place) {
    order = { column: place, down: order.column === place ? !order.down : true };
    fill();
  }
  fill();
  const parts = [h("thead", {}, h("tr", {}, heads)), body];
  if (caption) parts.unshift(h("caption", {}, caption));
  if (foot.length) parts.push(h("tfoot", {}, foot.map(line)));
  return h("table", {}, parts);
}

const scrolled = (...inside) => h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "table" }, ...inside);

// Show a section with what is in it.
const shown = (id, ...inside) => {
  at(id).hidden = false;
  at(`${id}-body`).replaceChildren(...inside);
};

function named(names, kind) {
  return names.length <= 2 ? names.join(" and ") : `${names.length} ${kind}`;
}

const row = (cells, tag = "td") => h("tr", {}, cells.map((cell) => h(tag, {}, cell === null || cell === undefined || cell === "" ? "–" : String(cell))));
