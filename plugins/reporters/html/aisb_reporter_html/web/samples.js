// The samples of the page: filters, a search through all texts, and the table of answers.
"use strict";

// Every answer of the run in one list, ordered by task, sample, repeat and model.
function answersOf(tasks) {
  const found = [];
  tasks.forEach((task, t) => task.models.forEach((model, m) => model.sample.forEach((sample, n) => found.push({ t, m, n, sample, repeat: model.repeat[n], outcome: model.outcome[n] }))));
  return found.sort((a, b) => a.t - b.t || a.sample - b.sample || a.repeat - b.repeat || a.m - b.m);
}

// The texts by which the columns of the table are as wide as they need to be.
function widths(tasks) {
  const spread = (all) => all.filter((_, n) => n % Math.ceil(all.length / 2000) === 0);
  return {
    id: tasks.flatMap((task) => spread(task.ids)),
    task: tasks.map((task) => task.task),
    answer: tasks.flatMap((task) => task.models.flatMap((model) => spread(model.answer))),
    gold: tasks.flatMap((task) => spread(task.gold)),
    model: tasks.flatMap((task) => task.models.map((model) => model.model)),
  };
}

// What a row of the table shows of an answer.
function shownAs(tasks, answer) {
  const task = tasks[answer.t];
  const model = task.models[answer.m];
  return {
    outcome: answer.outcome, id: task.ids[answer.sample], repeat: answer.repeat, task: task.task, begins: task.begins[answer.sample],
    answer: model.answer[answer.n], gold: task.gold[answer.sample], model: model.model, tokens: model.tokens[answer.n],
  };
}

// Prompts and outputs, unpacked a block at a time and kept.
function texts(tasks) {
  const held = new Map();
  function block(t, place) {
    const id = `texts-${t}-${place}`;
    if (!held.has(id)) held.set(id, inflated(id).then((data) => JSON.parse(new TextDecoder().decode(data))));
    return held.get(id);
  }
  return {
    async prompt({ t, sample }) {
      const task = tasks[t];
      return (await block(t, task.first + Math.floor(sample / task.block)))[sample % task.block];
    },
    async output({ t, m, n }) {
      const task = tasks[t];
      return (await block(t, task.models[m].first + Math.floor(n / task.block)))[n % task.block];
    },
  };
}

let samplesOf = () => {};

function samples({ tasks }) {
  if (!tasks.length) return;
  const answers = answersOf(tasks);
  const read = texts(tasks);
  const state = { task: "", model: "", group: "", outcomes: new Set(), differ: false, query: "" };
  const models = [...new Set(tasks.flatMap((task) => task.models.map((one) => one.model)))];
  const differing = disagreements(answers, models.length);
  let hits = null; // which answers a search has found
  let searching = 0;

  const fits = (answer, place, { but } = {}) => {
    const task = tasks[answer.t];
    return (
      (!state.task || task.task === state.task) &&
      (!state.model || task.models[answer.m].model === state.model) &&
      (!state.group || task.groups[task.group[answer.sample]] === state.group) &&
      (but === "outcome" || !state.outcomes.size || state.outcomes.has(answer.outcome)) &&
      (!state.differ || differing.has(answer)) &&
      (!hits || hits[place] === 1)
    );
  };

  const status = h("p", { class: "quiet", role: "status", id: "samples-count" });
  const chips = h("div", { class: "chips", role: "group", "aria-label": "Outcomes" });
  const controls = h("div", { class: "bar" });
  let list = []; // the answers that are shown, by their places
  const table = rowsView({
    several: { task: tasks.length > 1, model: models.length > 1 },
    widths: widths(tasks),
    row: (place) => shownAs(tasks, answers[list[place]]),
    open: (start) => openReader({ count: list.length, moved: (place) => table.choose(place), opened: (place) => opened(list[place]) }, start),
  });
  const opened = (place) => {
    const answer = answers[place];
    return { tasks, read, answer, others: answers.filter((one) => one.t === answer.t && one.sample === answer.sample && one !== answer) };
  };

  function filter() {
    list = [];
    const counts = new Array(OUTCOMES.length).fill(0);
    answers.forEach((answer, place) => {
      if (!fits(answer, place, { but: "outcome" })) return;
      counts[answer.outcome]++;
      if (fits(answer, place)) list.push(place);
    });
    chips.replaceChildren(
      ...OUTCOMES.map((outcome, place) => ({ ...outcome, place }))
        .filter(({ place }) => counts[place] || state.outcomes.has(place))
        .map(({ name, mark: sign, meaning, place }) =>
          h(
            "button",
            {
              type: "button", class: `chip ${name}`, title: meaning, "aria-pressed": String(state.outcomes.has(place)), "data-outcome": name,
              onclick: () => { state.outcomes.has(place) ? state.outcomes.delete(place) : state.outcomes.add(place); filter(); chips.querySelector(`[data-outcome="${name}"]`)?.focus(); },
            },
            h("i", { class: name }, sign), `${name} `, h("span", { class: "quiet" }, whole(counts[place])),
          ),
        ),
    );
    table.show(list.length);
    if (!searching) status.textContent = list.length === answers.length ? plural(list.length, "answer") : `${whole(list.length)} of ${plural(answers.length, "answer")}`;
  }

  function settings() {
    const chosenTask = tasks.find((task) => task.task === state.task) || (tasks.length === 1 ? tasks[0] : null);
    const groupNames = chosenTask ? chosenTask.groups : [];
    if (!groupNames.includes(state.group)) state.group = "";
    const all = [["", "all"]];
    const set = (key) => (value) => { state[key] = value; if (key === "task") settings(); filter(); };
    controls.replaceChildren(
      ...[
        search,
        tasks.length > 1 && picker("task", [...all, ...tasks.map((task) => [task.task, task.task])], set("task"), state.task),
        groupNames.length && picker("group", [...all, ...groupNames.map((name) => [name, name])], set("group"), state.group),
        models.length > 1 && picker("model", [...all, ...models.map((name) => [name, name])], set("model"), state.model),
        differing.size && h("label", { class: "picker" }, h("input", { type: "checkbox", checked: state.differ, onchange: (event) => set("differ")(event.target.checked) }), h("span", {}, "models disagree")),
      ].filter(Boolean),
    );
  }

  // Looks through ids, prompts, outputs, answers and what is right, block by block, so that the page stays awake.
  async function look(query) {
    const mine = ++look.turn;
    state.query = query;
    if (!query) {
      hits = null;
      searching = 0;
      filter();
      return;
    }
    const wanted = new RegExp(query.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), "i");
    const found = new Uint8Array(answers.length);
    searching = 1;
    let rested = performance.now();
    for (let place = 0; place < answers.length; place++) {
      const answer = answers[place];
      found[place] = (await holds(answer, wanted)) ? 1 : 0;
      if (mine !== look.turn) return;
      if (performance.now() - rested > 12) {
        status.textContent = `Searching … ${Math.round((100 * place) / answers.length)} %`;
        await new Promise((done) => setTimeout(done));
        rested = performance.now();
      }
    }
    if (mine !== look.turn) return;
    hits = found;
    searching = 0;
    filter();
  }
  look.turn = 0;

  const asked = new Map(); // what was found in a prompt, once for all models
  async function holds(answer, wanted) {
    const task = tasks[answer.t];
    const model = task.models[answer.m];
    if (wanted.test(task.ids[answer.sample]) || wanted.test(model.answer[answer.n] ?? "")) return true;
    const [, pieces, , facts] = await read.output(answer);
    if (pieces.some(([, text]) => wanted.test(text)) || wanted.test(facts.failure || "")) return true;
    if (asked.wanted !== wanted.source) {
      asked.clear();
      asked.wanted = wanted.source;
    }
    const key = answer.t * 1e7 + answer.sample;
    if (!asked.has(key)) {
      const [prompts, gold, choices] = await read.prompt(answer);
      asked.set(key, wanted.test(gold ?? "") || choices.some((text) => wanted.test(text)) || prompts.some((turns) => turns.some(([, , text]) => wanted.test(text))));
    }
    return asked.get(key);
  }

  let waiting;
  const search = h("input", {
    type: "search", placeholder: "Search prompts and outputs", "aria-label": "Search prompts and outputs", class: "search",
    oninput: () => { clearTimeout(waiting); waiting = setTimeout(() => look(search.value.trim()), 180); },
  });

  samplesOf = ({ task, group }) => {
    Object.assign(state, { task: tasks.length > 1 ? task : "", group });
    settings();
    filter();
    at("samples").scrollIntoView();
    table.focus();
  };
  settings();
  shown("samples", controls, chips, status, table.element, h("p", { class: "quiet onpaper" }, "On paper only the first rows are shown: open the page to look through all of them."));
  filter();
}

// The answers to samples on which not all models (or repeats) ended alike.
function disagreements(answers, models) {
  const found = new Set();
  if (models < 2) return found;
  for (let start = 0; start < answers.length; ) {
    let end = start;
    const same = (one) => one.t === answers[start].t && one.sample === answers[start].sample && one.repeat === answers[start].repeat;
    while (end < answers.length && same(answers[end])) end++;
    const right = answers.slice(start, end).map((answer) => answer.outcome === 0);
    if (right.includes(true) && right.includes(false)) for (let n = start; n < end; n++) found.add(answers[n]);
    start = end;
  }
  return found;
}
