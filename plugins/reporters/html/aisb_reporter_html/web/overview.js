// The top of the page: what was run, every score with its interval and bounds, and how the answers ended.
"use strict";

function top_(head) {
  const { summary } = head;
  const [models, tasks] = [Object.keys(summary.models), Object.keys(summary.tasks)];
  at("run").textContent = `aisb · run ${summary.run}`;
  at("title").textContent = `${named(models, "models")} on ${named(tasks, "tasks")}`;
  at("lead").textContent = lead(head);
  for (const [name, value, title] of facts(summary)) {
    at("facts").append(h("div", {}, h("dt", {}, name), h("dd", { title }, value)));
  }
  at("warnings").append(
    ...summary.performance.map(certificate),
    ...summary.warnings.filter((line) => !summary.performance_run).map((line) => h("p", { class: "warning" }, line.replace(/^warning: /, ""))),
  );
  at("identity").append(...identity(summary));
  at("footer").textContent = `Made by aisb ${summary.environment.aisb || ""} from ${head.folder}. This file asks no host for anything.`;
}

function lead({ summary }) {
  if (summary.performance_run) {
    const total = summary.performance.reduce((sum, one) => sum + one.stages.total.common.requests, 0);
    const failed = summary.performance.reduce((sum, one) => sum + one.stages.total.common.failed, 0);
    return `${plural(total, "request")}, ${failed ? `${whole(failed)} failed` : "none failed"}.`;
  }
  const sum = (key) => summary.results.reduce((count, one) => count + (key === "predictions" ? one.predictions : one.outcomes[key]), 0);
  if (!summary.results.length) return "Nothing has been scored.";
  const unclear = sum("predictions") - sum("correct") - sum("wrong");
  return `${plural(sum("predictions"), "answer")}: ${whole(sum("correct"))} right, ${whole(sum("wrong"))} wrong, ${unclear ? `${whole(unclear)} neither` : "none unclear"}.`;
}

function facts({ sessions, environment, subtasks, tasks, models }) {
  const [first, last] = [sessions[0], sessions[sessions.length - 1]];
  const found = [];
  if (first) found.push(["started", moment(first.started), first.started]);
  const spent = sessions.reduce((sum, one) => sum + (one.ended ? (new Date(one.ended) - new Date(one.started)) / 1000 : 0), 0);
  if (spent) found.push(["took", lasted(spent) + (sessions.length > 1 ? ` in ${sessions.length} sessions` : "")]);
  if (last && last.exit_code) found.push(["exit code", String(last.exit_code)]);
  if (environment.platform) found.push(["where", environment.platform.replace(/-with-.*/, ""), environment.platform]);
  if (environment.aisb) found.push(["aisb", `${environment.aisb}, Python ${environment.python}`]);
  const seeds = [...new Set(subtasks.flatMap(({ params, forced, load }) => [forced?.seed ?? params?.seed, load?.seed].filter((seed) => seed !== undefined)))];
  found.push(["seeds", seeds.length ? seeds.join(", ") : "none set"]);
  const versions = [...new Set(Object.values(tasks).map((task) => task.version).filter(Boolean))];
  if (versions.length && versions.length <= 3) found.push([versions.length > 1 ? "task versions" : "task version", versions.join(", ")]);
  const data = [...new Set(Object.values(tasks).map((task) => task.data_sha256).filter(Boolean))];
  if (data.length === 1) found.push(["data", data[0].slice(0, 12), `sha256 ${data[0]}`]);
  const served = [...new Set(Object.values(models).map((model) => model.served).filter(Boolean))];
  if (served.length && served.length <= 2) found.push(["served", served.join(", ")]);
  return found;
}

function certificate({ model, task, sessions, certificate: { verdict, signals } }) {
  return h(
    "div",
    { class: `certificate ${verdict}` },
    h("p", {}, h("strong", {}, verdict), ` ${task} · ${model}`),
    signals.length ? h("ul", {}, signals.map((signal) => h("li", {}, signal.reason, signal.verdict === verdict ? "" : ` (${signal.verdict})`))) : h("p", { class: "quiet" }, "Nothing speaks against these numbers."),
    sessions ? h("ul", { class: "sessions" }, sessions.lines.map((line) => h("li", {}, line))) : "",
  );
}

function identity({ models, tasks, sessions, environment, subtasks }) {
  const json = (table) => JSON.stringify(table, null, 1).replace(/\n\s*/g, " ");
  const parts = [];
  const commands = sessions.map((one) => one.command.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replace(/'/g, "'\\''")}'`)).join(" "));
  if (commands.length) parts.push(h("h3", {}, "Command"), ...commands.map((text) => h("pre", {}, text)));
  parts.push(
    h("h3", {}, "Models"),
    scrolled(h("table", {}, h("thead", {}, row(["model", "backend", "served as", "at", "options"], "th")), h("tbody", {}, Object.entries(models).map(([name, one]) => row([name, one.backend, one.served, one.url, Object.keys(one.options || {}).length ? json(one.options) : ""]))))),
    h("h3", {}, "Tasks"),
    scrolled(h("table", {}, h("thead", {}, row(["task", "version", "shots", "mode", "data sha256", "licence", "what it is"], "th")), h("tbody", {}, Object.entries(tasks).map(([name, one]) => row([name, one.version, one.shots, one.mode, one.data_sha256, one.licence, one.summary]))))),
  );
  const asked = subtasks.map((one) => [one.model, one.task, json({ ...one.params, ...one.forced }), json(one.load || {})]);
  if (asked.length) parts.push(h("h3", {}, "Parameters"), scrolled(h("table", {}, h("thead", {}, row(["model", "task", "generation", "load"], "th")), h("tbody", {}, asked.map((one) => row(one))))));
  const plugins = Object.entries(environment.plugins || {});
  if (plugins.length) parts.push(h("h3", {}, "Distributions"), h("p", { class: "quiet" }, [...new Set(plugins.map(([, text]) => text))].join(" · ")));
  return parts;
}

// Where the score, its interval and its bounds lie between 0 and 100.
function whisker(metric, bounds) {
  if (metric.value === null || metric.unit !== "%") return "";
  const [low, high] = [metric.low ?? metric.value, metric.high ?? metric.value];
  const title = `${percent(metric.value)}; 95 % interval ${percent(low)} to ${percent(high)}${bounds ? `; bounds ${percent(bounds[0])} to ${percent(bounds[1])}` : ""}`;
  return h(
    "span",
    { class: "whisker", title, role: "img", "aria-label": title },
    bounds && h("i", { class: "bounds", style: { left: `${bounds[0]}%`, width: `${bounds[1] - bounds[0]}%` } }),
    h("i", { class: "interval", style: { left: `${low}%`, width: `${high - low}%` } }),
    h("i", { class: "point", style: { left: `${metric.value}%` } }),
  );
}

// Over how many of a task's groups a number is.
function someGroups({ groups }) {
  return groups ? `${groups[0]} of ${groups[1]} groups` : "";
}

// The rows of a result in a table: what is over all its samples.
function overall(result) {
  const rows = result.metrics.filter((metric) => metric.group === null);
  const grouped = result.metrics.some((metric) => metric.group !== null);
  const averaged = rows.some((metric) => metric.name === "weighted_average");
  if (!grouped || !averaged) return rows;
  const left = result.merge ? ["naive_average", "weighted_average"] : ["accuracy"];
  return rows.some((metric) => !left.includes(metric.name)) ? rows.filter((metric) => !left.includes(metric.name)) : rows;
}

function scores({ summary: { results } }) {
  const rows = results.flatMap((result) => overall(result).map((metric) => ({ result, metric, bounds: metric.name === result.headline ? result.bounds : null })));
  if (!rows.length) return;
  const several = new Set(results.map((result) => result.model)).size > 1;
  const columns = [
    { name: "task", left: true, value: ({ result }) => result.task, show: ({ result }) => result.task },
    several && { name: "model", left: true, value: ({ result }) => result.model, show: ({ result }) => result.model },
    { name: "metric", left: true, value: ({ metric }) => metric.name, show: ({ metric }) => metric.name },
    { name: "score", value: ({ metric }) => metric.value, show: ({ metric }) => [h("strong", {}, percent(metric.value)), metric.groups ? h("small", { class: "quiet" }, ` ${someGroups(metric)}`) : ""] },
    { name: "95 %", title: "the interval that covers the score in 95 of 100 such runs", value: ({ metric }) => metric.low, show: ({ metric }) => (metric.low === null ? "–" : `${percent(metric.low, 1)} – ${percent(metric.high, 1)}`) },
    { name: "0 to 100", title: "score, interval, and (outlined) bounds", left: true, value: ({ metric }) => metric.value, show: ({ metric, bounds }) => whisker(metric, bounds) },
    { name: "bounds", title: "everything unclear taken as wrong, and left out of the count", value: ({ bounds }) => (bounds ? bounds[0] : null), show: ({ bounds }) => (bounds ? `${percent(bounds[0], 1)} – ${percent(bounds[1], 1)}` : "") },
    { name: "n", value: ({ metric }) => metric.count, show: ({ metric }) => whole(metric.count) },
    { name: "version", left: true, title: "of the task, and how it is asked", value: ({ result }) => result.version, show: ({ result }) => [h("code", {}, result.version), ` ${result.mode}`, result.trial.length ? h("small", { title: result.trial.join(", ") }, " other rules than its own") : ""] },
  ].filter(Boolean);
  shown("scores", scrolled(sortable(columns, rows)));
}

// How every answer ended: a bar a model and task, as long as all its answers.
function ledger({ summary: { results } }) {
  if (!results.length) return;
  const used = OUTCOMES.filter(({ name }) => results.some((result) => result.outcomes[name]));
  const several = new Set(results.map((result) => result.model)).size > 1;
  const rows = results.map((result) => {
    const parts = used.filter(({ name }) => result.outcomes[name]);
    const said = parts.map(({ name }) => `${name} ${whole(result.outcomes[name])}`).join(", ");
    return h(
      "div",
      { class: "ledger-row" },
      h("span", { class: "ledger-name" }, result.task, several && h("span", { class: "quiet" }, ` ${result.model}`)),
      h(
        "span",
        { class: "stack", role: "img", "aria-label": said },
        parts.map(({ name }) => {
          const share = (100 * result.outcomes[name]) / result.predictions;
          return h("i", { class: name, style: { width: `${share}%` }, title: `${name}: ${whole(result.outcomes[name])} of ${whole(result.predictions)} (${share.toFixed(1)} %)` }, share > 7 ? whole(result.outcomes[name]) : "");
        }),
      ),
      h("span", { class: "quiet ledger-said" }, said),
    );
  });
  shown("outcomes", legend(used), h("div", { class: "ledger" }, rows));
}

function legend(outcomes) {
  return h("ul", { class: "legend" }, outcomes.map(({ name, mark: sign, meaning }) => h("li", { title: meaning }, h("i", { class: name }, sign), name)));
}

// One cell for each model on each task: its headline, the darker the higher, the best of a row in bold.
function matrix({ summary: { results } }) {
  const [models, tasks] = [[...new Set(results.map((one) => one.model))], [...new Set(results.map((one) => one.task))]];
  if (models.length < 2 || results.length < 3) return;
  const cells = new Map(results.map((one) => [JSON.stringify([one.task, one.model]), headline(one)]));
  const cell = (task, model) => cells.get(JSON.stringify([task, model]));
  const rows = tasks.map((task) => ({ task, best: Math.max(...models.map((model) => cell(task, model)?.value ?? -Infinity)) }));
  const columns = [
    { name: "task", left: true, value: ({ task }) => task, show: ({ task }) => task },
    ...models.map((model) => ({
      name: model,
      value: ({ task }) => cell(task, model)?.value,
      show: ({ task, best }) => {
        const metric = cell(task, model);
        if (!metric || metric.value === null) return "–";
        const title = `${metric.name}${metric.low === null ? "" : `, 95 % ${percent(metric.low, 1)} to ${percent(metric.high, 1)}`}, n ${metric.count}${metric.groups ? `, ${someGroups(metric)}` : ""}`;
        const shade = metric.unit === "%" ? { "--shade": `${Math.round(metric.value * 0.32)}%` } : {};
        return h("span", { class: `heat${metric.value === best ? " best" : ""}`, style: shade, title }, percent(metric.value));
      },
    })),
  ];
  shown("matrix", scrolled(sortable(columns, rows)));
}

function headline(result) {
  return result.metrics.find((metric) => metric.group === null && metric.name === result.headline) || null;
}
