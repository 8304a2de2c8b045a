// One run: its facts, its progress while it runs, its results, samples, plots, pages, logs and files.
"use strict";

let before = {}; // the counts of a moment ago

async function runPage(name, mine) {
  const run = await ask("api/runs/" + encodeURIComponent(name));
  if (mine !== shown) return;
  document.title = `aisb: ${name}`;
  where();
  const open = new Set([...document.querySelectorAll("details[open]")].map((one) => one.dataset.name));
  const facts = [["status", status(run)], ["models", run.models.join(", ")], ["tasks", run.tasks.join(", ")],
    ["tags", run.tags.length ? tags(run) : null], ["note", run.note],
    ["command", run.command.length ? el("code", {}, run.command.join(" ")) : null],
    ["imported", run.imported], ["began", moment(run.started)], ["ended", moment(run.ended)], ["exit code", run.exit_code],
    ["not sent", run.not_sent && run.status !== "running" ? plural(run.not_sent, "request") : null], ["folder", run.path], ["problem", run.unreadable]];
  const parts = [el("h2", {}, name), el("dl", {}, facts.filter(([, value]) => isThere(value))
      .flatMap(([key, value]) => [el("dt", {}, key), el("dd", {}, value)])),
    progress(run), results(run), samplesOf(run), plots(run), pages(run), ...logs(run, open)];
  replace(parts.filter(isThere));
  if (run.status === "running") repeat(mine, () => runPage(name, mine), 1);
}

// Frames are not taken out of the page when it is drawn again: they would load again.
function replace(parts) {
  const old = document.getElementById("plots");
  const next = parts.find((part) => part.id === "plots");
  if (!old || !next || old.dataset.run !== next.dataset.run || old.childElementCount !== next.childElementCount) return show(...parts);
  const place = parts.indexOf(next);
  for (const child of [...main.children]) if (child !== old) child.remove();
  old.before(...parts.slice(0, place));
  old.after(...parts.slice(place + 1));
}

// ---- progress

function progress(run) {
  const told = run.progress;
  if (!told?.subtasks) return run.status === "running" ? el("p", { class: "dim" }, "It is running; its counts come within a second or two, while it sends requests.") : "";
  const at = Date.parse(told.written);
  const rows = told.subtasks.map((one) => {
    const key = `${one.task} · ${one.model}`, last = before[key];
    let now = last ? last.rate : null;
    if (last && at > last.at) now = (one.finished - last.finished) * 1000 / (at - last.at);
    if (!last || at > last.at) before[key] = { at, finished: one.finished, rate: now };
    const mean = one.seconds > 0 ? (one.finished - one.resumed) / one.seconds : null;
    const left = mean && one.phase === "sending" ? (one.total - one.finished) / mean : null;
    const live = run.live.find((found) => found.task === one.task && found.model === one.model);
    return [key, one.phase, el("progress", { max: one.total || 1, value: one.finished, "aria-label": "finished" }), `${one.finished}/${one.total}`,
      soFar(run, live), rate(now), rate(mean), tokens(live), left === null ? "–" : seconds(left), one.in_flight,
      one.failed ? el("span", { class: "failed" }, one.failed) : "0"];
  });
  const numbers = [["rate now", "number rate"], ...["mean rate", "output tokens", "left", "in flight", "failed"].map((name) => [name, "number"])];
  return el("section", { id: "progress" }, el("h2", {}, run.status === "running" ? "Now" : "How far it had come"),
    table(["subtask", "phase", "", ["finished", "number"], "so far", ...numbers], rows), told.subtasks.filter((one) => one.first_failure).map((one) => failures(run, one)));
}

// The score of the answers that have arrived.
function soFar(run, live) {
  if (!live) return "–";
  if (live.not_graded && !live.n) return el("span", { class: "dim" }, run.kind === "performance" ? "–" : `not graded yet: ${live.not_graded}`);
  if (!live.n) return "–";
  return [el("b", {}, value(live)), " ", el("span", { class: "dim" }, `${interval(live)} n ${live.n.toLocaleString("en")}`), " ", bar(live.outcomes)];
}

function tokens(live) {
  if (!live || live.output_tokens === null) return "–";
  return live.tokens_per_second === null ? short(live.output_tokens) : `${short(live.tokens_per_second)}/s`;
}

// Which requests of a subtask failed, why, and where more is to be read.
function failures(run, one) {
  const reasons = Object.entries(one.failures).map(([kind, count]) => `${count} ${kind}`).join(", ");
  const log = one.log_file.slice(one.log_file.indexOf(run.run) + run.run.length + 1);
  return el("p", { class: "failed" }, `${one.task} · ${one.model}: failed: ${reasons}; the first is request ${one.first_failure}; log: `, link(run.run, log));
}

// ---- results

function results(run) {
  if (!run.scores.length && !run.figures.length) return "";
  return el("section", { id: "results" }, el("h2", {}, "Results"), run.figures.map(headline), scores(run));
}

function scores(run) {
  if (!run.scores.length) return "";
  const used = OUTCOMES.filter((name) => name === "correct" || name === "wrong" || run.scores.some((one) => one.outcomes[name]));
  const number = (name) => [name, "number"];
  const rows = run.scores.map((one) => [one.task, one.model, el("b", {}, value(one)), interval(one) || "–", one.n.toLocaleString("en"), bar(one.outcomes),
    ...used.map((name) => (one.outcomes[name] ? toSamples(run, { task: one.task, model: one.model, outcome: name }, one.outcomes[name].toLocaleString("en")) : "0")),
    [one.metric !== "accuracy" && one.metric?.replaceAll("_", " "), one.bounds && `bounds [${one.bounds.map((bound) => bound.toFixed(1)).join(", ")}]`,
      one.not_sent && `${plural(one.not_sent, "request")} not sent`, one.remark].filter(Boolean).join("; ")]);
  return table(["task", "model", number("score"), number("95 %"), number("n"), "", ...used.map(number), ""], rows, "scores");
}

function headline(one) {
  const times = TIMES.map((name) => [name.toUpperCase(), ...["p50", "p95", "p99"].map((at) => short(one[`${name}_ms`][at]))]);
  const number = (name) => [name, "number"];
  const rates = [["requests/s", one.requests_per_second], ["output tokens/s", one.output_tokens_per_second], ["input tokens/s", one.input_tokens_per_second], ["all tokens/s", one.total_tokens_per_second]];
  const achieved = one.achieved;
  const facts = [["requests", `${one.requests.toLocaleString("en")}, ${one.failed.toLocaleString("en")} failed${one.seconds === null ? "" : `, in ${short(one.seconds)} s`}`],
    ["numbers of", one.stage === "stable" ? "the stable stage" : "all requests"], ["requested", one.requested_words],
    ["achieved", `${short(achieved.requests_per_second)} requests/s, ${short(achieved.in_flight)} in flight on average, ${short(achieved.peak)} at the peak`],
    ["goodput", isThere(one.goodput) ? words(one.goodput) : null]];
  return el("article", { class: "figure" },
    el("h3", {}, el("span", { class: `certificate ${one.certificate}` }, one.certificate), ` ${one.task} · ${one.model}`),
    one.reasons.length ? el("ul", { class: "dim" }, one.reasons.map((reason) => el("li", {}, reason))) : "",
    el("div", { class: "beside" },
      table(["ms", number("p50"), number("p95"), number("p99")], times),
      table(["throughput", number("")], rates.map(([name, value]) => [name, short(value)])),
      el("dl", {}, facts.filter(([, value]) => isThere(value)).flatMap(([key, value]) => [el("dt", {}, key), el("dd", {}, value)]))));
}

function words(table) {
  if (typeof table !== "object") return short(table);
  return Object.entries(table).map(([name, value]) => `${name.replaceAll("_", " ")} ${typeof value === "number" ? short(value) : value}`).join(", ");
}

// ---- samples, plots, pages

function toSamples(run, chosen, text) {
  if (BUNDLE) return text;
  return el("a", { href: "samples.html#" + new URLSearchParams({ run: run.run, ...chosen }) }, text);
}

function samplesOf(run) {
  if (BUNDLE || run.unreadable) return "";
  const inside = run.has_reporter
    ? el("p", {}, toSamples(run, {}, "Browse the samples"), el("span", { class: "dim" }, ": prompt, reasoning, answer, reference answer and score of each"))
    : el("p", {}, "Samples are shown by aisb-reporter-html, which is not installed: ", el("code", {}, run.install));
  return el("section", { id: "samples" }, el("h2", {}, "Samples"), inside);
}

function plots(run) {
  if (BUNDLE || !run.plots.length) return "";
  if (!run.has_reporter) return el("section", { id: "no-plots" }, el("h2", {}, "Plots"), el("p", {}, "Plots are drawn by aisb-reporter-plots, which is not installed: ", el("code", {}, run.install)));
  const made = run.plots.map((one, place) => {
    const address = `plots/${encodeURIComponent(run.run)}/${one.number}/${run.first_plot}`;
    const inside = el("div", {});
    const fill = () => { if (!inside.childElementCount) inside.append(el("iframe", { src: address, title: `Plots of ${one.task} · ${one.model}`, sandbox: "allow-scripts allow-downloads" }), el("a", { href: address, target: "_blank", rel: "noopener" }, "open the plots alone")); };
    const details = el("details", { "data-name": `plots ${one.number}`, ontoggle: () => details.open && fill() }, el("summary", {}, `${one.task} · ${one.model}: requests, latency, in flight, throughput`), inside);
    details.open = place === 0 && run.status !== "running";
    return details;
  });
  return el("section", { id: "plots", "data-run": run.run }, el("h2", {}, "Plots"), made);
}

// The pages in frames say how tall they are; what they say is used as a number alone.
addEventListener("message", (event) => {
  const frame = [...document.querySelectorAll("iframe")].find((one) => one.contentWindow === event.source);
  const height = Number(event.data?.height);
  if (frame && height > 0) frame.style.setProperty("height", `${Math.min(Math.max(height + 4, 200), 6000)}px`);
});

function pages(run) {
  if (BUNDLE) return bundled(run);
  const made = run.pages.length ? el("ul", {}, run.pages.map((path) => el("li", {}, link(run.run, path))))
    : el("p", {}, "No page has been made of this run. Make one with: ", el("code", {}, run.make_page),
      run.has_reporter ? "" : el("span", {}, " (first: ", el("code", {}, run.install), ")"));
  return el("section", { id: "pages" }, el("h2", {}, "Pages"), made);
}

// In a bundle the report has the samples and the plots.
function bundled(run) {
  const inside = run.pages.length ? el("ul", {}, run.pages.map((path) => el("li", {}, link(run.run, path, run.page_names[path]))))
    : el("p", { class: run.report_problem ? "error" : "dim" }, run.report_problem || "The bundle was written while this run was running: update it when the run has ended.");
  return el("section", { id: "pages" }, el("h2", {}, "Report"), inside);
}

function logs(run, open) {
  if (BUNDLE) return [];
  return [run.logs.length ? el("h2", {}, "Logs") : null,
    ...run.logs.map((log) => el("details", { "data-name": log.name, open: open.has(log.name) },
      el("summary", {}, log.name), el("pre", {}, log.lines.join("\n")), link(run.run, log.name))),
    el("details", { "data-name": "files", open: open.has("files") }, el("summary", {}, `Files (${run.files.length})`),
      el("ul", {}, run.files.map((path) => el("li", {}, link(run.run, path)))))];
}
