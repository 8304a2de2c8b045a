// What all pages of `aisb view` share. Whatever comes from a run is put in as text, never as markup.
"use strict";

const main = document.getElementById("main");
const BUNDLE = document.documentElement.hasAttribute("data-bundle"); // files of a folder instead of a server
const OUTCOMES = ["correct", "wrong", "truncated", "unparsed", "refused", "error"];
const TIMES = ["ttft", "tpot", "itl", "e2el"];
let timer = null, shown = 0;

function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [key, one] of Object.entries(value)) made.style.setProperty(key, one);
    else if (name in made && typeof value === "boolean") made[name] = value;
    else if (value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.flat(3).filter(isThere).map((child) => (child instanceof Node ? child : String(child))));
  return made;
}

// A table of columns ("name", or ["name", "class of its cells"]) that is a card a row on a phone.
function table(columns, rows, id) {
  const named = columns.map((column) => [column].flat());
  const cell = (inside, place) => el("td", { class: named[place][1], "data-name": named[place][0] }, inside);
  const body = el("tbody", {});
  body.fill = (found) => body.replaceChildren(...found.map((row) => el("tr", {}, row.map(cell))));
  body.fill(rows);
  const made = el("div", { class: "wide" }, el("table", { id },
    el("thead", {}, el("tr", {}, named.map(([name, kind]) => el("th", { class: kind, scope: "col" }, name)))), body));
  made.fill = body.fill;
  return made;
}

function isThere(child) { return child !== null && child !== undefined && child !== "" && child !== false; }

// Data come from the server, or from the files of a bundle.
async function ask(path) {
  const answer = await fetch(BUNDLE ? path.replace(/^api\/runs\/([^/]+)$/, "runs/$1/run.json").replace(/^api\/runs\?.*/, "runs.json") : path);
  const told = await answer.json();
  if (!answer.ok) throw new Error(told.error || answer.statusText);
  return told;
}

function show(...children) { main.replaceChildren(...children.flat().filter(isThere)); }

function repeat(mine, work, seconds) {
  if (BUNDLE) return;
  clearTimeout(timer);
  timer = setTimeout(async () => {
    if (mine !== shown) return;
    try { await work(); document.getElementById("state").textContent = ""; }
    catch (error) {
      document.getElementById("state").textContent = "aisb view does not answer; is it still running?";
      repeat(mine, work, 3);
    }
  }, seconds * 1000);
}

// What stands beside the name in the page's head: the folder, or the way back to it.
function where(folder) { document.getElementById("where").replaceChildren(folder ?? el("a", { href: "#" }, "all runs")); }

function file(run, path) { return (BUNDLE ? "runs/" : "files/") + encodeURIComponent(run) + "/" + path.split("/").map(encodeURIComponent).join("/"); }
function link(run, path, text) { return el("a", { href: file(run, path), target: "_blank", rel: "noopener" }, text ?? path); }

// ---- numbers and words

const plural = (count, one, many = `${one}s`) => `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
function short(value) {
  if (value === null || value === undefined) return "–";
  return Math.abs(value) >= 10000 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(4)));
}
function rate(value) { return value === null || value === undefined ? "–" : value >= 100 ? `${value.toFixed(0)}/s` : value >= 0.1 || value === 0 ? `${value.toFixed(1)}/s` : `${(value * 60).toFixed(1)}/min`; }
function seconds(value) { const whole = Math.round(value); return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`; }
function moment(iso) { return iso && iso.replace("T", " ").replace(/(\.\d+)?\+00:00$/, " UTC"); }
function signed(value) { return (value >= 0 ? "+" : "−") + Math.abs(value).toFixed(1); }
const unit = (one) => (one.unit && one.unit !== "%" ? ` ${one.unit}` : "");
const value = (one) => (one.value === null ? "–" : one.value.toFixed(2) + unit(one));
const interval = (one) => (one.low === null || one.low === undefined ? "" : `[${one.low.toFixed(1)}, ${one.high.toFixed(1)}]`);
const counts = (outcomes) => OUTCOMES.filter((name) => outcomes[name]).map((name) => `${name} ${outcomes[name].toLocaleString("en")}`).join(", ");
const percentiles = (times) => ["p50", "p95", "p99"].map((at) => short(times[at])).join(" / ");

// The outcomes of all answers as one bar.
function bar(outcomes) {
  const total = OUTCOMES.reduce((sum, name) => sum + outcomes[name], 0);
  if (!total) return "";
  return el("span", { class: "outcomes", role: "img", "aria-label": counts(outcomes), title: counts(outcomes) },
    OUTCOMES.filter((name) => outcomes[name]).map((name) => el("i", { class: name, style: { "flex-grow": String(outcomes[name]) } })));
}

function tags(run) { return run.tags.map((tag) => el("span", { class: "tag" }, tag)); }
function status(run, statuses) { return el("span", { class: `status ${run.status}`, title: statuses?.[run.status] }, run.status); }
