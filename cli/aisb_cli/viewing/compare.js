// Two runs compared, or two models of one run, by the code of `aisb compare`.
"use strict";

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
  const notes = [...told.unmatched, ...told.grades.flatMap((one) => [...one.setup_differences, ...one.notes].map((line) => `${one.task}: ${line}`))];
  waiting.replaceWith(el("div", { id: "compared" }, notes.length ? el("ul", {}, notes.map((line) => el("li", { class: "dim" }, line))) : "", grades(told.grades, told.command), speeds(told.speeds)));
}

function grades(found, command) {
  if (!found.length) return "";
  const numbers = ["n", "A", "B", "B − A", "95 %", "p"].map((name) => [name, "number"]);
  const rows = found.map((one) => [one.task, one.model_a === one.model_b ? one.model_a : `${one.model_a} / ${one.model_b}`, one.samples,
    one.a.toFixed(2), one.b.toFixed(2), signed(one.difference), `[${signed(one.low)}, ${signed(one.high)}]`,
    one.p_corrected < 0.001 ? "< 0.001" : one.p_corrected.toFixed(3), el("span", { class: one.verdict }, one.verdict === "tie" ? "tie" : `B ${one.verdict}`)]);
  return el("div", {}, table(["task", "models", ...numbers, "verdict"], rows),
    found.flatMap((one) => [["got better", one.improved], ["got worse", one.worsened]].map(([words, flips]) => flipped(`${one.task}: ${flips.count} ${words}`, flips, command))));
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
