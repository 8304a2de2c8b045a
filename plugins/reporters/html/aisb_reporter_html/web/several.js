// The page of several runs: its top, then chart after chart, then the table.
"use strict";

function topOfSeveral({ points: { points, settings }, notes, heading, from, made }) {
  const runs = new Set(points.map((one) => one.folder)).size;
  const sum = (key) => points.reduce((total, one) => total + one[key], 0);
  at("run").textContent = `aisb · ${plural(runs, "run")}`;
  at("title").textContent = heading;
  at("lead").textContent = `${plural(points.length, "point")}, ${plural(sum("requests"), "request")}, ${sum("failed") ? `${whole(sum("failed"))} failed` : "none failed"}.`;
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

page(async () => {
  at("theme").addEventListener("click", theme.toggle);
  const head = JSON.parse(new TextDecoder().decode(await inflated("head")));
  topOfSeveral(head);
  tradeoffs(head);
  const best = perUser(head);
  percentilesByLoad(head);
  throughputByLoad(head);
  pointsTable(head, best);
  contents();
});
