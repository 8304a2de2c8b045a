// The page of several runs: its top, then chart after chart, then the table.
"use strict";

function topOfSeveral({ points: { points, medians, settings }, notes, heading, from, made }) {
  const runs = new Set(points.map((one) => one.folder)).size;
  const sum = (key) => points.reduce((total, one) => total + one[key], 0);
  at("run").textContent = `aisb · ${plural(runs, "run")}`;
  at("title").textContent = heading;
  at("lead").textContent = `${plural(medians.length, "point")}, ${plural(sum("requests"), "request")}, ${sum("failed") ? `${whole(sum("failed"))} failed` : "none failed"}.`;
  at("notes").append(...notes.map((line) => h("p", {}, line)));
  const verdicts = VERDICTS.map(([name]) => [name, points.filter((one) => one.certificate === name).length]).filter(([, count]) => count);
  const facts = [
    ["runs", from],
    ["what differs", settings.length ? settings.join(", ") : "nothing"],
    ["certificates", verdicts.map(([name, count]) => `${count} ${name}`).join(", ")],
    ["measured for", lasted(points.reduce((total, one) => total + (one.seconds || 0), 0))],
  ];
  at("facts").append(...facts.map(([name, text]) => h("div", {}, h("dt", {}, name), h("dd", {}, text))));
  at("footer").textContent = `Made by aisb ${made}. This file asks no host for anything.`;
}

function repeatsNote({ points: { points } }) {
  if (!points.some(isRepeated)) return;
  at("notes").append(h("p", { class: "quiet" }, "A load with several runs is one point: the median of each number over its runs, with a bar (in the table: a second line) from the least to the most. Its certificate is the worst one."));
}

page(async () => {
  at("theme").addEventListener("click", theme.toggle);
  const head = JSON.parse(new TextDecoder().decode(await inflated("head")));
  topOfSeveral(head);
  const loads = { points: { series: head.points.series, points: head.points.medians } };
  repeatsNote(loads);
  tradeoffs(loads);
  const best = perUser(loads);
  percentilesByLoad(loads);
  throughputByLoad(loads);
  pointsTable(loads, best);
  contents();
});
