// What repeats show (pass@k and cons@k over k), and how long outputs are, by how they ended.
"use strict";

function repeats({ curves }) {
  if (!curves.length) return;
  shown(
    "repeats",
    h("p", { class: "quiet" }, "pass@k: at least one of k answers is right. cons@k: more than half of k are. Both are means over all ways to draw k of the answers to a sample."),
    h("div", { class: "charts" }, curves.map(({ task, models }) => h("figure", {}, h("figcaption", {}, task), curveKeys(models), curveChart(task, models)))),
    h("details", {}, h("summary", {}, "As a table"), scrolled(curveTable(curves))),
  );
}

function curveKeys(models) {
  return keys(models.flatMap(({ model }, place) => [[`${models.length > 1 ? `${model} ` : ""}pass@k`, seriesColour(place)], [`${models.length > 1 ? `${model} ` : ""}cons@k`, seriesColour(place), true]]));
}

function curveChart(task, models) {
  const most = Math.max(...models.flatMap(({ k }) => k));
  return chart(240, `pass@k and cons@k on ${task}`, (width, height) => {
    const { across, up, parts } = frame({ width, height, x: [1, most], y: [0, 100], xTitle: "k", yTitle: "%", xTicks: most <= 12 ? Array.from({ length: most }, (_, n) => n + 1) : undefined });
    models.forEach(({ model, k, pass, cons }, place) => {
      for (const [name, values, dash] of [["pass", pass], ["cons", cons, "5 4"]]) {
        const points = k.map((one, n) => [across(one), up(values[n])]);
        parts.push(v("path", { class: "curve", d: path(points), style: `stroke:${seriesColour(place)}`, "stroke-dasharray": dash }));
        if (k.length <= 40) points.forEach(([x, y], n) => parts.push(v("circle", { cx: x, cy: y, r: 3, style: `fill:${seriesColour(place)}` }, v("title", {}, `${model} ${name}@${k[n]}: ${percent(values[n])}`))));
      }
    });
    return parts;
  });
}

function curveTable(curves) {
  const rows = curves.flatMap(({ task, models }) => models.flatMap(({ model, k, pass, cons }) => k.map((one, n) => [task, model, one, percent(pass[n]), percent(cons[n])])));
  return h("table", {}, h("thead", {}, row(["task", "model", "k", "pass@k", "cons@k"], "th")), h("tbody", {}, rows.map((one) => row(one))));
}

// How many answers of each outcome are so long: in tokens where nearly all are known, else in characters.
function lengths({ tasks }) {
  const found = tasks.flatMap((task, place) => task.models.map((one) => ({ task: task.task, model: one.model, one, place })));
  if (!found.length) return;
  const holder = h("div");
  const name = ({ task, model }) => (tasks.length > 1 ? `${task} · ${model}` : model);
  const show = (key) => holder.replaceChildren(lengthChart(found[Number(key)]));
  const choice = found.length > 1 ? h("div", { class: "bar" }, picker("answers of", found.map((one, key) => [String(key), name(one)]), show)) : null;
  show(0);
  shown("lengths", ...[choice, holder].filter(Boolean));
}

function lengthChart({ one, task, model }) {
  const unknown = one.tokens.filter((count, n) => count === null && one.length[n]).length;
  const tokens = unknown <= 0.1 * one.tokens.length && one.tokens.some((count) => count !== null);
  const values = tokens ? one.tokens : one.length;
  const unit = tokens ? "output tokens" : "characters";
  const sorted = values.filter((value) => value !== null).sort((a, b) => a - b);
  if (!sorted.length) return h("p", { class: "quiet" }, "There are no outputs.");
  const longest = sorted[sorted.length - 1];
  const usual = sorted[Math.floor(0.995 * (sorted.length - 1))];
  const most = Math.max(longest <= 1.5 * usual ? longest : usual, 1);
  const width = Math.max(1, round(most / 40));
  const count = Math.floor(most / width) + 1;
  const used = OUTCOMES.map((outcome, place) => ({ ...outcome, place, parts: new Float64Array(count), lengths: [] })).filter(({ place }) => one.outcome.includes(place));
  let beyond = 0;
  values.forEach((value, n) => {
    if (value === null) return;
    const kind = used.find(({ place }) => place === one.outcome[n]);
    kind.lengths.push(value);
    if (value >= count * width) beyond++;
    else kind.parts[Math.floor(value / width)]++;
  });
  const high = Math.max(...Array.from({ length: count }, (_, n) => used.reduce((sum, { parts }) => sum + parts[n], 0)), 1);
  const drawing = chart(240, `Output lengths of ${model} on ${task}`, (pixels, height) => {
    const { across, up, parts } = frame({ width: pixels, height, x: [0, count * width], y: [0, high], xTitle: unit, yTitle: "answers", yLabel: whole });
    for (let n = 0; n < count; n++) {
      let below = 0;
      for (const { name, parts: column } of used) {
        if (!column[n]) continue;
        const [x, y] = [across(n * width), up(below + column[n])];
        parts.push(v("rect", { class: name, x, y, width: Math.max(1, across((n + 1) * width) - x - 1), height: up(below) - y }, v("title", {}, `${name}: ${whole(column[n])} of ${measure(n * width)} to ${measure((n + 1) * width)} ${unit}`)));
        below += column[n];
      }
    }
    return parts;
  });
  const median = (list) => list.sort((a, b) => a - b)[Math.floor((list.length - 1) / 2)];
  const table = h("table", { class: "small" }, h("thead", {}, row(["outcome", "answers", `median ${unit}`, "shortest", "longest"], "th")), h("tbody", {}, used.filter((kind) => kind.lengths.length).map(({ name, lengths: list }) => row([name, whole(list.length), whole(median(list)), whole(list[0]), whole(list[list.length - 1])]))));
  const note = [width > 1 && `Bins of ${measure(width)} ${unit}.`, beyond && `Longer than what is shown: ${whole(beyond)}, up to ${whole(longest)}.`, tokens && unknown > 0 && `Of ${plural(unknown, "answer")} the tokens are not known.`].filter(Boolean).join(" ");
  return h("div", {}, legend(used), drawing, h("p", { class: "quiet" }, note), scrolled(table));
}
