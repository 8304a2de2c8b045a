// The browser of samples: rows come from the server as they come into view, and a sample when it is opened.
// The table and the reader are those of the report (rows.js, reader.js), which set text as text alone.
"use strict";

const PAGE = 100; // rows of one request
const FOLLOWED = 5; // seconds after which the answers of a running run are asked for again
const KEYS = ["task", "model", "group", "outcome", "q", "differ"];

const given = new URLSearchParams(location.hash.slice(1));
const run = given.get("run") || "";
const state = Object.fromEntries(KEYS.map((key) => [key, given.get(key) || ""]));
const outcomes = () => new Set(state.outcome.split(",").filter(Boolean));

async function ask(path, query) {
  const answer = await fetch(`api/runs/${encodeURIComponent(run)}/${path}?${new URLSearchParams(query)}`);
  const told = await answer.json();
  if (!answer.ok) throw new Error(told.error || answer.statusText);
  return told;
}

const selection = () => Object.fromEntries(KEYS.filter((key) => state[key]).map((key) => [key, state[key]]));

// The rows of one selection: pages of them, each asked for once.
function paged(first, arrived) {
  const pages = new Map([[0, first.rows]]);
  const query = selection();
  async function load(number) {
    pages.set(number, null);
    try {
      const told = await ask("samples", { ...query, offset: number * PAGE, limit: PAGE });
      pages.set(number, told.rows);
      arrived();
    } catch (error) {
      pages.delete(number);
      say(error);
    }
  }
  return {
    count: first.count,
    row(place) {
      const number = Math.floor(place / PAGE);
      if (!pages.has(number)) load(number);
      return pages.get(number)?.[place % PAGE] ?? null;
    },
    async sure(place) {
      const number = Math.floor(place / PAGE);
      if (!pages.get(number)) await load(number);
      return pages.get(number)[place % PAGE];
    },
  };
}

function say(error) { at("state").textContent = error instanceof TypeError ? "aisb view does not answer; is it still running?" : error.message; }

// One sample with all answers to it, as the reader takes it. Another sample is there for what both prompts share.
async function opened(row) {
  const { head, blocks } = await ask("sample", { task: row.task, id: row.id });
  const answers = head.models.flatMap((model, m) => model.sample.map((sample, n) => ({ t: 0, m, n, sample, repeat: model.repeat[n], outcome: model.outcome[n] }))).filter((one) => one.sample === 0);
  const answer = answers.find((one) => head.models[one.m].model === row.model && one.repeat === row.repeat);
  return {
    tasks: [head], answer, others: answers.filter((one) => one !== answer),
    read: { prompt: async () => blocks[head.first][0], output: async ({ m, n }) => blocks[head.models[m].first + Math.floor(n / head.block)][n % head.block] },
  };
}

page(async () => {
  at("theme").addEventListener("click", theme.toggle);
  let told = await ask("samples", { ...selection(), offset: 0, limit: PAGE });
  at("title").textContent = `Samples of ${run}`;
  document.title = `aisb: samples of ${run}`;
  at("back").textContent = run;
  at("back").href = `./#run/${encodeURIComponent(run)}`;
  at("lead").textContent = `${named(told.models, "models")} on ${named(told.tasks, "tasks")}`;

  let rows = null;
  const several = { task: told.tasks.length > 1, model: told.models.length > 1 };
  const status = h("p", { class: "quiet", role: "status", id: "samples-count" });
  const chips = h("div", { class: "chips", role: "group", "aria-label": "Outcomes" });
  const controls = h("div", { class: "bar" });
  const view = rowsView({
    several, widths: told.widths,
    row: (place) => rows.row(place),
    open: (start) => openReader({ count: rows.count, moved: (place) => view.choose(place), opened: async (place) => opened(await rows.sure(place)) }, start).catch(say),
  });

  function draw() {
    rows = paged(told, () => view.redraw());
    view.show(rows.count);
    const some = outcomes();
    chips.replaceChildren(...OUTCOMES.map((outcome, place) => ({ ...outcome, place })).filter(({ name, place }) => told.outcomes[place] || some.has(name)).map(({ name, mark: sign, meaning, place }) =>
      h("button", { type: "button", class: `chip ${name}`, title: meaning, "aria-pressed": String(some.has(name)), "data-outcome": name,
        onclick: () => { some.has(name) ? some.delete(name) : some.add(name); set("outcome", [...some].join(",")).then(() => chips.querySelector(`[data-outcome="${name}"]`)?.focus()); } },
      h("i", { class: name }, sign), `${name} `, h("span", { class: "quiet" }, whole(told.outcomes[place])))));
    status.textContent = told.count === told.total ? plural(told.total, "answer") : `${whole(told.count)} of ${plural(told.total, "answer")}`;
  }

  function settings() {
    const all = [["", "all"]];
    const pick = (label, names) => names.length > 1 && picker(label, [...all, ...names.map((name) => [name, name])], (value) => set(label, value), state[label]);
    const groups = told.groups[state.task || (told.tasks.length === 1 ? told.tasks[0] : "")] || [];
    controls.replaceChildren(...[search, pick("task", told.tasks), pick("group", groups), pick("model", told.models),
      told.differ && h("label", { class: "picker" }, h("input", { type: "checkbox", checked: state.differ === "1", onchange: (event) => set("differ", event.target.checked ? "1" : "") }), h("span", {}, "models disagree"))].filter(Boolean));
  }

  let turn = 0;
  async function set(key, value) {
    state[key] = value;
    if (key === "task") state.group = "";
    history.replaceState(null, "", `#${new URLSearchParams({ run, ...selection() })}`);
    await again();
    if (key === "task") settings();
  }
  async function again() {
    const mine = ++turn;
    const waiting = setTimeout(() => { status.textContent = "Searching …"; }, 300);
    try {
      const found = await ask("samples", { ...selection(), offset: 0, limit: PAGE });
      if (mine !== turn) return;
      told = found;
      at("state").textContent = "";
      draw();
    } catch (error) { if (mine === turn) say(error); } finally { clearTimeout(waiting); }
  }

  let typing;
  const search = h("input", { type: "search", placeholder: "Search prompts and outputs", "aria-label": "Search prompts and outputs", class: "search",
    oninput: () => { clearTimeout(typing); typing = setTimeout(() => set("q", search.value.trim()), 250); } });
  search.value = state.q;
  settings();
  at("main").replaceChildren(controls, chips, status, view.element);
  draw();

  // Of a running run more answers come; the list is asked for again while it is at its beginning and nothing is open.
  const follow = async () => {
    if (told.status !== "running") return;
    const scrolled = view.element.querySelector(".rows").scrollTop > 0;
    if (!at("reader").open && !scrolled && document.activeElement !== search) await again();
    setTimeout(follow, FOLLOWED * 1000);
  };
  setTimeout(follow, FOLLOWED * 1000);
});

addEventListener("hashchange", () => location.reload());
