// The page of `aisb view`. Whatever comes from a run is put in as text, never as markup.
"use strict";

const main = document.getElementById("main");
let timer = null, shown = 0, before = {}, chosen = new Set(), filter = { text: "", status: "" };

function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name in made && typeof value === "boolean") made[name] = value;
    else if (value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.flat().filter(isThere).map((child) => (child instanceof Node ? child : String(child))));
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
    el("thead", {}, el("tr", {}, named.map(([name, kind]) => el("th", { class: kind }, name)))), body));
  made.fill = body.fill;
  return made;
}

function isThere(child) { return child !== null && child !== undefined && child !== ""; }

async function ask(path) {
  const answer = await fetch(path);
  const told = await answer.json();
  if (!answer.ok) throw new Error(told.error || answer.statusText);
  return told;
}

function show(...children) { main.replaceChildren(...children.filter(isThere)); }
function again(work, seconds) { clearTimeout(timer); timer = setTimeout(work, seconds * 1000); }

async function route() {
  clearTimeout(timer);
  const mine = ++shown;
  const [what, ...rest] = location.hash.slice(1).split("/").map(decodeURIComponent);
  before = {};
  const page = what === "run" ? () => runPage(rest[0], mine)
    : what === "compare" ? () => comparePage(rest, mine) : () => listPage(mine);
  try { await page(); document.getElementById("state").textContent = ""; main.focus({ preventScroll: true }); }
  catch (error) { if (mine === shown) show(el("p", { class: "error" }, error.message)); }
}

function repeat(mine, work, seconds) {
  again(async () => {
    if (mine !== shown) return;
    try { await work(); document.getElementById("state").textContent = ""; }
    catch (error) {
      document.getElementById("state").textContent = "aisb view does not answer; is it still running?";
      repeat(mine, work, 3);
    }
  }, seconds);
}

// ---- the list

async function listPage(mine) {
  const told = await ask("api/runs?limit=500");
  if (mine !== shown) return;
  where(told.work_dir);
  document.title = "aisb: runs";
  const compare = el("button", { type: "button", onclick: () => { location.hash = "compare/" + [...chosen].sort().map(encodeURIComponent).join("/"); } }, "Compare");
  const list = table(["", "run", "status", "models", "tasks", ["result", "number"], ""], [], "runs");
  const draw = (runs) => {
    compare.disabled = chosen.size < 1 || chosen.size > 2;
    compare.textContent = chosen.size === 1 ? "Compare its models" : "Compare two";
    list.fill(runs.filter(fits).map(row));
  };
  let latest = told.runs;
  const row = (run) => [
    el("input", { type: "checkbox", checked: chosen.has(run.run), "aria-label": `choose ${run.run}`,
      onchange: (event) => { event.target.checked ? chosen.add(run.run) : chosen.delete(run.run); draw(latest); } }),
    el("a", { href: "#run/" + encodeURIComponent(run.run) }, run.run),
    el("span", { class: run.status, title: told.statuses[run.status] }, run.status),
    run.unreadable || run.models.join(", "),
    (run.kind === "performance" ? "performance: " : "") + run.tasks.join(", "),
    outcome(run),
    run.pages.length ? el("a", { href: file(run.run, run.pages[0]), target: "_blank", rel: "noopener" }, "page") : ""];
  const text = el("input", { type: "search", placeholder: "model, task or date", "aria-label": "filter",
    oninput: (event) => { filter.text = event.target.value.toLowerCase(); draw(latest); } });
  text.value = filter.text;
  const states = el("select", { "aria-label": "status", onchange: (event) => { filter.status = event.target.value; draw(latest); } },
    el("option", { value: "" }, "any status"), Object.keys(told.statuses).map((name) => el("option", { value: name }, name)));
  states.value = filter.status;
  show(el("div", { class: "bar" }, text, states, compare, el("span", { class: "dim" }, `${told.count} runs`)),
    told.count ? list
      : el("p", {}, "There is no run here yet. Make one with: ", el("code", {}, "aisb run --models sim --datasets demo_gsm8k")));
  draw(latest);
  const follow = async () => { latest = (await ask("api/runs?limit=500")).runs; if (mine === shown) { draw(latest); repeat(mine, follow, 3); } };
  repeat(mine, follow, 3);
}

function fits(run) {
  const words = [run.run, run.status, ...run.models, ...run.tasks].join(" ").toLowerCase();
  return words.includes(filter.text) && (!filter.status || run.status === filter.status);
}

function outcome(run) {
  if (run.scores.length) return run.scores.length === 1 ? scored(run.scores[0]) : `${run.scores.length} results`;
  if (run.figures.length === 1) return speed(run.figures[0]);
  if (run.figures.length) return `${run.figures.length} results`;
  return run.exit_code === null ? "" : `exit code ${run.exit_code}`;
}

function scored(one) { return one.value.toFixed(2) + (one.remark ? ` (${one.remark})` : ""); }
function short(value) { return value === null || value === undefined ? "–" : String(Number(value.toPrecision(4))); }
function speed(one) { return `${one.certificate}, ${short(one.requests_per_second)} req/s, TTFT p50 ${short(one.ttft_ms.p50)} ms`; }
function moment(iso) { return iso && iso.replace("T", " ").replace(/(\.\d+)?\+00:00$/, " UTC"); }

// What stands beside the name in the page's head: the folder, or the way back to it.
function where(folder) { document.getElementById("where").replaceChildren(folder ?? el("a", { href: "#" }, "all runs")); }

function file(run, path) { return "files/" + encodeURIComponent(run) + "/" + path.split("/").map(encodeURIComponent).join("/"); }
function link(run, path) { return el("a", { href: file(run, path), target: "_blank", rel: "noopener" }, path); }

// ---- one run

async function runPage(name, mine) {
  const run = await ask("api/runs/" + encodeURIComponent(name));
  if (mine !== shown) return;
  document.title = `aisb: ${name}`;
  where();
  const open = new Set([...document.querySelectorAll("details[open]")].map((one) => one.dataset.name));
  const facts = [["status", el("span", { class: run.status }, run.status)], ["models", run.models.join(", ")],
    ["tasks", run.tasks.join(", ")], ["command", run.command.length ? el("code", {}, run.command.join(" ")) : null],
    ["imported", run.imported], ["began", moment(run.started)], ["ended", moment(run.ended)], ["exit code", run.exit_code], ["folder", run.path], ["problem", run.unreadable]];
  show(el("h2", {}, name), el("dl", {}, facts.filter(([, value]) => value !== null && value !== "" && value !== undefined)
      .flatMap(([key, value]) => [el("dt", {}, key), el("dd", {}, value)])),
    progress(run), results(run), pages(run),
    run.logs.length ? el("h2", {}, "Logs") : null,
    ...run.logs.map((log) => el("details", { "data-name": log.name, open: open.has(log.name) },
      el("summary", {}, log.name), el("pre", {}, log.lines.join("\n")), link(name, log.name))),
    el("details", { "data-name": "files", open: open.has("files") }, el("summary", {}, `Files (${run.files.length})`),
      el("ul", {}, run.files.map((path) => el("li", {}, link(name, path))))));
  if (run.status === "running") repeat(mine, () => runPage(name, mine), 1);
}

function progress(run) {
  const told = run.progress;
  if (!told.subtasks) return run.status === "running" ? el("p", { class: "dim" }, "It is running; its counts come within a second or two, while it asks.") : "";
  const at = Date.parse(told.written);
  const rows = told.subtasks.map((one) => {
    const key = `${one.task} · ${one.model}`, last = before[key];
    let now = last ? last.rate : null;
    if (last && at > last.at) now = (one.finished - last.finished) * 1000 / (at - last.at);
    if (!last || at > last.at) before[key] = { at, finished: one.finished, rate: now };
    const mean = one.seconds > 0 ? (one.finished - one.resumed) / one.seconds : null;
    const left = mean && one.phase === "asking" ? (one.total - one.finished) / mean : null;
    return [key, one.phase, el("progress", { max: one.total || 1, value: one.finished }), `${one.finished}/${one.total}`, rate(now), rate(mean),
      left === null ? "–" : seconds(left), one.in_flight, one.failed ? el("span", { class: "failed" }, one.failed) : "0"];
  });
  const numbers = [["rate now", "number rate"], ...["mean rate", "left", "in flight", "failed"].map((name) => [name, "number"])];
  return el("section", { id: "progress" }, el("h2", {}, run.status === "running" ? "Now" : "How far it had come"),
    table(["subtask", "phase", "", ["finished", "number"], ...numbers], rows), told.subtasks.filter((one) => one.first_failure).map((one) => failures(run, one)));
}

// Which requests of a subtask failed, why, and where more is to be read.
function failures(run, one) {
  const reasons = Object.entries(one.failures).map(([kind, count]) => `${count} ${kind}`).join(", ");
  const log = one.log_file.slice(one.log_file.indexOf(run.run) + run.run.length + 1);
  return el("p", { class: "failed" }, `${one.task} · ${one.model}: failed: ${reasons}; the first is request ${one.first_failure}; log: `, link(run.run, log));
}

function rate(value) { return value === null ? "–" : value >= 100 ? `${value.toFixed(0)}/s` : value >= 0.1 || value === 0 ? `${value.toFixed(1)}/s` : `${(value * 60).toFixed(1)}/min`; }
function seconds(value) { const whole = Math.round(value); return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`; }

function results(run) {
  if (!run.scores.length && !run.figures.length) return "";
  const scores = run.scores.length
    ? [table(["task", "model", ["result", "number"]], run.scores.map((one) => [one.task, one.model, scored(one)]))]
    : [];
  return el("section", { id: "results" }, el("h2", {}, "Results"), [...scores, ...run.figures.flatMap(headline)]);
}

// The headline as the run printed it; in a run of an older version, made of its numbers.
function headline(one) {
  if (one.text.length) return el("pre", {}, one.text.join("\n"));
  const times = ["ttft", "tpot", "itl", "e2el"].map((name) => [name.toUpperCase() + " (ms)", ...["p50", "p95", "p99"].map((at) => short(one[`${name}_ms`][at]))]);
  return [el("p", {}, `${one.task} · ${one.model}: ${speed(one)}`), table(["", ["p50", "number"], ["p95", "number"], ["p99", "number"]], times)];
}

function pages(run) {
  const made = run.pages.length ? el("ul", {}, run.pages.map((path) => el("li", {}, link(run.run, path))))
    : el("p", {}, "No page has been made of this run. Make one with: ", el("code", {}, run.make_page),
      run.has_reporter ? "" : el("span", {}, " (first: ", el("code", {}, "pip install aisb-reporter-html"), ")"));
  return el("section", { id: "pages" }, el("h2", {}, "Pages"), made);
}

// ---- two runs compared

async function comparePage(asked, mine) {
  const [a, b, modelA, modelB] = [asked[0], asked[1] || asked[0], asked[2] || "", asked[3] || ""];
  const [left, right] = await Promise.all([a, b].map((name) => ask("api/runs/" + encodeURIComponent(name))));
  const pick = (side, run, value) => el("label", {}, `model of ${side}: `, el("select", { "data-side": side },
    el("option", { value: "" }, "as it fits"), run.models.map((name) => el("option", { value: name, selected: name === value }, name))));
  const form = el("form", { onsubmit: (event) => {
    event.preventDefault();
    const [one, two] = form.querySelectorAll("select");
    location.hash = "compare/" + [a, b, one.value, two.value].map(encodeURIComponent).join("/");
  } }, pick("A", left, modelA), pick("B", right, modelB), el("button", {}, "Compare"));
  const heading = [el("h2", {}, "B compared with A"), el("dl", {}, [["A", left], ["B", right]].flatMap(([side, run]) =>
    [el("dt", {}, side), el("dd", {}, el("a", { href: "#run/" + encodeURIComponent(run.run) }, run.run), ` ${run.models.join(", ")} on ${run.tasks.join(", ")}`)])), el("p", {}), form];
  const waiting = el("p", { class: "dim" }, "comparing …");
  if (mine !== shown) return;
  document.title = "aisb: compare";
  where();
  show(...heading, waiting);
  const query = new URLSearchParams({ a, b, model_a: modelA, model_b: modelB });
  let told;
  try { told = await ask("api/compare?" + query); }
  catch (error) { if (mine === shown) waiting.replaceWith(el("p", { class: "error" }, error.message)); return; }
  if (mine !== shown) return;
  const notes = [...told.alone, ...told.grades.flatMap((one) => [...one.unequal, ...one.notes].map((line) => `${one.task}: ${line}`))];
  waiting.replaceWith(el("div", { id: "compared" }, notes.length ? el("ul", {}, notes.map((line) => el("li", { class: "dim" }, line))) : "", grades(told.grades, told.command), speeds(told.speeds)));
}

function grades(found, command) {
  if (!found.length) return "";
  const numbers = ["n", "A", "B", "B − A", "95 %", "p"].map((name) => [name, "number"]);
  const rows = found.map((one) => [one.task, one.model_a === one.model_b ? one.model_a : `${one.model_a} / ${one.model_b}`, one.samples,
    one.a.toFixed(2), one.b.toFixed(2), signed(one.difference), `[${signed(one.low)}, ${signed(one.high)}]`,
    one.corrected < 0.001 ? "< 0.001" : one.corrected.toFixed(3), el("span", { class: one.verdict }, one.verdict === "tie" ? "tie" : `B ${one.verdict}`)]);
  return el("div", {}, table(["task", "models", ...numbers, "verdict"], rows),
    found.flatMap((one) => [["got better", one.gained], ["got worse", one.lost]].map(([words, flips]) => flipped(`${one.task}: ${flips.count} ${words}`, flips, command))));
}

function flipped(title, flips, command) {
  if (!flips.count) return el("p", { class: "flips dim" }, title);
  const answer = (one, side) => `${one[side] ?? "–"} (${one[`outcome_${side}`]})`;
  return el("details", {}, el("summary", {}, title),
    table(["sample", "right", "A", "B"], flips.first.map((one) => [one.id, one.target ?? "–", answer(one, "a"), answer(one, "b")])),
    flips.count > flips.first.length ? el("p", { class: "dim" }, `the first ${flips.first.length}; ${command} has all of them`) : "");
}

function speeds(found) {
  if (!found.length) return "";
  const mean = (values) => values.length ? (values.reduce((sum, value) => sum + value, 0) / values.length).toPrecision(4) : "–";
  const numbers = ["A", "B", "B ÷ A"].map((name) => [name, "number"]);
  return el("div", {}, table(["task", "number", ...numbers, "better is"],
    found.map((one) => [one.task, one.name, mean(one.a), mean(one.b), one.ratio === null ? "–" : one.ratio.toFixed(3), one.better])),
    el("p", { class: "dim" }, "One run each does not say how much a run differs from the next: aisb compare A1,A2,A3 B1,B2,B3 does."));
}

function signed(value) { return (value >= 0 ? "+" : "−") + Math.abs(value).toFixed(1); }

addEventListener("hashchange", route);
route();
