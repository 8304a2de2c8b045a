// The groups of a task, such as MMLU's subjects: every model's score in each, and both averages below.
"use strict";

function groups({ summary: { results } }) {
  const grouped = results.filter((result) => result.metrics.some((metric) => metric.group !== null));
  const tasks = [...new Set(grouped.map((result) => result.task))];
  if (!tasks.length) return;
  const holder = h("div");
  const show = (task) => holder.replaceChildren(groupTable(grouped.filter((result) => result.task === task)));
  const choice = tasks.length > 1 ? h("div", { class: "bar" }, picker("task", tasks.map((task) => [task, task]), show)) : null;
  show(tasks[0]);
  shown("groups", ...[choice, holder].filter(Boolean));
}

function groupTable(results) {
  const by = results.map((result) => {
    const name = result.metrics.find((metric) => metric.group !== null).name;
    return { model: result.model, task: result.task, metrics: new Map(result.metrics.filter((metric) => metric.group !== null && metric.name === name).map((metric) => [metric.group, metric])), result };
  });
  const names = [...new Set(by.flatMap(({ metrics }) => [...metrics.keys()]))];
  const average = (label, name) => ({ label, average: true, of: ({ result }) => result.metrics.find((metric) => metric.group === null && metric.name === name) });
  const rows = names.map((label) => ({ label, of: ({ metrics }) => metrics.get(label) }));
  const foot = [average("naive average", "naive_average"), average("weighted average", "weighted_average")].filter((one) => by.some((result) => one.of(result)));
  const count = (one) => one.of(by[0])?.count ?? by.map((result) => one.of(result)?.count).find(Boolean);
  const columns = [
    {
      name: "group",
      left: true,
      value: ({ label }) => label,
      show: ({ label, average: mean }) => (mean ? label : h("button", { type: "button", class: "link", title: "Show its samples", onclick: () => samplesOf({ task: by[0].task, group: label }) }, label)),
    },
    { name: "n", value: count, show: (one) => whole(count(one)) },
    ...by.map((result) => ({
      name: by.length > 1 ? result.model : "score",
      value: (one) => one.of(result)?.value,
      show: (one) => {
        const metric = one.of(result);
        if (!metric || metric.value === null) return "–";
        const title = metric.low === null ? "" : `95 % ${percent(metric.low, 1)} to ${percent(metric.high, 1)}`;
        return h("span", { class: "barred", title }, h("i", { style: { "--share": `${metric.value}%` } }), h("b", {}, percent(metric.value)), metric.groups ? ` ${someGroups(metric)}` : "");
      },
    })),
    ...(by.length === 1
      ? [{ name: "95 %", value: (one) => one.of(by[0])?.low, show: (one) => { const metric = one.of(by[0]); return !metric || metric.low === null ? "–" : `${percent(metric.low, 1)} – ${percent(metric.high, 1)}`; } }]
      : []),
  ];
  const areas = areaTable(by);
  const note = "The naive average counts every group alike, the weighted one every sample.";
  return h("div", {}, h("div", { class: "tall" }, scrolled(sortable(columns, rows, { foot }))), h("p", { class: "quiet" }, `${plural(names.length, "group")}. ${note}`), areas);
}

// Averages over the groups of an area, such as MMLU's humanities, where a task has areas.
function areaTable(by) {
  const of = ({ result }, area, name) => result.metrics.find((metric) => metric.group === area && metric.name === name);
  const areas = [...new Set(by.flatMap(({ result }) => result.metrics.filter((metric) => metric.group !== null && metric.name === "weighted_average").map((metric) => metric.group)))];
  if (!areas.length) return "";
  const value = (result, area, name) => of(result, area, name)?.value;
  const columns = [
    { name: "area", left: true, value: (area) => area, show: (area) => area },
    { name: "n", value: (area) => of(by[0], area, "weighted_average")?.count, show: (area) => whole(of(by[0], area, "weighted_average")?.count) },
    ...by.flatMap((result) =>
      [["naive", "naive_average"], ["weighted", "weighted_average"]].map(([label, name]) => ({
        name: by.length > 1 ? `${result.model} ${label}` : label,
        value: (area) => value(result, area, name),
        show: (area) => percent(value(result, area, name)),
      })),
    ),
  ];
  return h("div", {}, h("h3", {}, "Areas"), scrolled(sortable(columns, areas)));
}
