// The list of runs: filtered, chosen to be compared, and followed.
"use strict";

const MOST_RESULTS = 3; // of one run in the list
let chosen = new Set(), filter = { text: "", status: "" };

async function listPage(mine) {
  const told = await ask("api/runs?limit=500");
  if (mine !== shown) return;
  where(told.work_dir);
  document.title = "aisb: runs";
  const compare = BUNDLE ? null : el("button", { type: "button", onclick: () => { location.hash = "compare/" + [...chosen].sort().map(encodeURIComponent).join("/"); } }, "Compare");
  const list = table([...(BUNDLE ? [] : [""]), "run", "status", "models", "tasks", "result", ""], [], "runs");
  const count = el("span", { class: "dim", id: "count" });
  let latest = told;
  const draw = () => {
    if (compare) {
      compare.disabled = chosen.size < 1 || chosen.size > 2;
      compare.textContent = chosen.size === 1 ? "Compare its models" : "Compare two";
    }
    const fitting = latest.runs.filter(fits);
    list.fill(fitting.map(row));
    const some = fitting.length === latest.count ? "" : `${fitting.length.toLocaleString("en")} of `;
    count.textContent = some + plural(latest.count, "run");
  };
  const row = (run) => [
    ...(BUNDLE ? [] : [el("input", { type: "checkbox", checked: chosen.has(run.run), "aria-label": `choose ${run.run}`,
      onchange: (event) => { event.target.checked ? chosen.add(run.run) : chosen.delete(run.run); draw(); } })]),
    el("a", { href: "#run/" + encodeURIComponent(run.run) }, run.run),
    status(run, told.statuses),
    run.unreadable || run.models.join(", "),
    (run.kind === "performance" ? "performance: " : "") + run.tasks.join(", "),
    outcome(run),
    [tags(run), run.note && el("div", { class: "note dim" }, run.note), run.pages.length ? link(run.run, run.pages[0], BUNDLE ? "report" : "page") : ""]];
  const text = el("input", { type: "search", placeholder: "model, task, tag or date", "aria-label": "filter",
    oninput: (event) => { filter.text = event.target.value.toLowerCase(); draw(); } });
  text.value = filter.text;
  const states = el("select", { "aria-label": "status", onchange: (event) => { filter.status = event.target.value; draw(); } },
    el("option", { value: "" }, "any status"), Object.keys(told.statuses).map((name) => el("option", { value: name }, name)));
  states.value = filter.status;
  show(el("div", { class: "bar" }, text, states, compare, count),
    told.count ? list
      : el("p", {}, "There is no run here yet. Make one with: ", el("code", {}, "aisb run --models sim --datasets demo_gsm8k")));
  draw();
  const follow = async () => { latest = await ask("api/runs?limit=500"); if (mine === shown) { draw(); repeat(mine, follow, 3); } };
  repeat(mine, follow, 3);
}

function fits(run) {
  const words = [run.run, run.status, run.note || "", ...run.models, ...run.tasks, ...run.tags].join(" ").toLowerCase();
  return words.includes(filter.text) && (!filter.status || run.status === filter.status);
}

// The results of a run in its row: a line or two for each subtask.
function outcome(run) {
  if (run.status === "running" && run.progress?.subtasks) return underWay(run.progress.subtasks);
  const found = [
    ...run.figures.map((one) => figure(run, one)),
    ...run.scores.map((one) => score(run, one)),
  ];
  if (!found.length) return run.exit_code === null ? "" : el("span", { class: "dim" }, `exit code ${run.exit_code}`);
  const left = found.length - MOST_RESULTS;
  return [found.slice(0, MOST_RESULTS), left > 0 ? el("div", { class: "dim" }, `and ${plural(left, "result")} more`) : ""];
}

// How far a running run has come.
function underWay(subtasks) {
  const sum = (key) => subtasks.reduce((total, one) => total + one[key], 0);
  const [finished, total, failed] = ["finished", "total", "failed"].map(sum);
  return [el("progress", { max: total || 1, value: finished, "aria-label": "finished" }), ` ${finished.toLocaleString("en")}/${total.toLocaleString("en")}`,
    failed ? el("span", { class: "failed" }, `, ${failed.toLocaleString("en")} failed`) : ""];
}

// Which subtask a result is of, where the run has several.
function subtask(run, one) {
  const words = [run.tasks.length > 1 && one.task, run.models.length > 1 && one.model].filter(Boolean).join(" · ");
  return words && el("div", { class: "dim" }, words);
}

function score(run, one) {
  return el("div", { class: "result" }, subtask(run, one),
    el("b", {}, value(one)), " ", el("span", { class: "dim" }, `${interval(one)} n ${one.n.toLocaleString("en")}`), " ", bar(one.outcomes),
    el("div", { class: "dim" }, counts(one.outcomes)), one.remark && el("div", { class: "dim" }, one.remark));
}

function figure(run, one) {
  return el("div", { class: "result" }, subtask(run, one),
    el("b", { class: one.certificate }, one.certificate), ` ${short(one.requests_per_second)} requests/s, ${short(one.output_tokens_per_second)} output tokens/s`,
    el("div", { class: "dim" }, `requested ${one.requested_words}; achieved ${short(one.achieved.requests_per_second)} requests/s, ${short(one.achieved.in_flight)} in flight`),
    el("div", { class: "dim" }, "p50 / p95 / p99 in ms: ", TIMES.map((name, place) => [place ? ", " : "", el("span", { class: "whole" }, `${name.toUpperCase()} ${percentiles(one[`${name}_ms`])}`)])));
}
