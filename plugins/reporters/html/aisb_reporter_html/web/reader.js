// One sample, opened: what was asked, what was answered with the part that was graded marked, and by which rule.
"use strict";

// source: {count, moved(place), opened(place)}; opened returns, or promises, {tasks, read, answer, others}.
function openReader(source, start) {
  const dialog = at("reader");
  let place = start;
  let beside = null; // what is compared with: [model, repeat]
  let turn = 0;

  const key = (answer) => `${answer.m}/${answer.repeat}`;

  async function show() {
    const mine = ++turn;
    const { tasks, read, answer, others: compared } = await source.opened(place);
    const task = tasks[answer.t];
    const [prompts, gold, choices] = await read.prompt(answer);
    const second = compared.find((one) => key(one) === beside) || null;
    const panes = [];
    for (const one of [answer, second].filter(Boolean)) panes.push(await pane(read, task, one, gold));
    if (mine !== turn) return; // another sample was asked for meanwhile
    const [number] = await read.output(answer);
    const label = (one) => task.models[one.m].model + (one.repeat || compared.some((other) => other !== one && other.m === one.m) ? `, repeat ${one.repeat + 1}` : "");
    const step = (by) => () => go(place + by);
    const bar = h(
      "div",
      { class: "reader-bar" },
      h("h2", { id: "reader-title" }, `${task.task} · ${task.ids[answer.sample]}`),
      h("span", { class: "quiet" }, `${whole(place + 1)} of ${whole(source.count)}`),
      h("span", { class: "reader-tools" },
        compared.length ? picker("compare with", [["", "none"], ...compared.map((one) => [key(one), label(one)])], (value) => { beside = value || null; show(); }, second ? key(second) : "") : null,
        h("button", { type: "button", onclick: step(-1), disabled: place === 0, "aria-label": "Previous sample", title: "previous (←)" }, "‹"),
        h("button", { type: "button", onclick: step(1), disabled: place === source.count - 1, "aria-label": "Next sample", title: "next (→)" }, "›"),
        h("button", { type: "button", onclick: () => dialog.close(), "aria-label": "Close", title: "close (Esc)" }, "✕"),
      ),
    );
    const body = h("div", { class: "reader-body", tabindex: "0" },
      h("section", { class: "asked" }, h("h3", {}, "Prompt"), promptView(task, prompts[number] || [], task.models[answer.m].file), choices.length ? h("ol", { class: "choices", type: "A" }, choices.map((text) => h("li", {}, text))) : null, h("h3", {}, "Reference answer"), h("pre", { class: "text gold" }, gold ?? "not known")),
      h("div", { class: `panes${panes.length > 1 ? " two" : ""}` }, panes),
    );
    dialog.replaceChildren(bar, body);
    dialog.setAttribute("aria-label", `Sample ${task.ids[answer.sample]} of ${task.task}`);
    const chose = dialog.open && document.activeElement?.closest(".reader-tools");
    if (!dialog.open) dialog.showModal();
    // Arrow keys scroll what is read; who chose what stands beside may choose again.
    (chose ? bar.querySelector("select") || body : body).focus({ preventScroll: true });
    dialog.dataset.shown = task.ids[answer.sample];
  }

  async function pane(read, task, answer, gold) {
    const model = task.models[answer.m];
    const [, pieces, verdicts, facts] = await read.output(answer);
    return h(
      "section",
      { class: "pane" },
      h("h3", {}, model.model, answer.repeat ? `, repeat ${answer.repeat + 1}` : "", " ", badge(answer.outcome)),
      ...verdicts.map(([evaluator, outcome, value, found, rule, details]) => verdictView({ evaluator, outcome, value, found, rule, details, gold })),
      h("p", { class: "quiet" }, told(facts)),
      facts.failure && h("p", { class: "warning" }, facts.failure),
      pieces.length || !(facts.calls || facts.logprobs) ? h("div", { class: "output" }, outputView(pieces, `${model.file}, line ${facts.line}`)) : null,
      facts.calls && h("div", {}, h("h4", {}, "Tool calls"), h("pre", { class: "text" }, facts.calls)),
      facts.logprobs && logprobView(facts.logprobs),
    );
  }

  function go(to) {
    if (to < 0 || to >= source.count) return;
    place = to;
    source.moved(place);
    show();
  }

  dialog.onkeydown = (event) => {
    if (event.target.closest("select, input, summary") || event.ctrlKey || event.altKey || event.metaKey) return;
    const by = { ArrowRight: 1, ArrowLeft: -1, j: 1, k: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    go(place + by);
  };
  dialog.onclick = (event) => {
    if (event.target === dialog) dialog.close();
  };
  return show();
}

function verdictView({ evaluator, outcome, value, found, rule, details, gold }) {
  const facts = [["answer", found ?? "none was found"], ["reference", gold ?? "–"], ["rule", rule || "–"], ["verdict", `${outcome}, ${measure(value)} by ${evaluator}`]];
  return h("div", {}, h("dl", { class: "verdict" }, facts.map(([name, text]) => h("div", {}, h("dt", {}, name), h("dd", {}, text)))), details && h("details", {}, h("summary", {}, "What the evaluator said"), h("pre", { class: "text" }, details)));
}

function told({ finish, usage, attempts, ttft, e2el }) {
  const said = [];
  if (usage?.input_tokens !== null && usage?.input_tokens !== undefined) said.push(`${plural(usage.input_tokens, "token")} in`);
  if (usage?.output_tokens !== null && usage?.output_tokens !== undefined) said.push(`${plural(usage.output_tokens, "token")} out`);
  if (e2el !== undefined) said.push(`${measure(e2el)} ms`);
  if (ttft !== undefined) said.push(`first token after ${measure(ttft)} ms`);
  if (finish) said.push(`ended by ${finish}`);
  if (attempts) said.push(`attempt ${attempts}`);
  return said.join(" · ");
}

// A text with the places where something was left out, and one stretch marked; both are counted in UTF-16 units.
function marked_(text, gaps, span, where) {
  const edges = [...gaps.map(([at_, count]) => ({ at: at_, count }))];
  const parts = [];
  const plain = (from, to) => {
    if (span && span[0] < to && span[1] > from) {
      const [low, high] = [Math.max(from, span[0]), Math.min(to, span[1])];
      parts.push(text.slice(from, low), h("mark", {}, text.slice(low, high)), text.slice(high, to));
    } else parts.push(text.slice(from, to));
  };
  let from = 0;
  for (const { at: to, count } of edges) {
    plain(from, to);
    parts.push(h("span", { class: "gap" }, ` ⋯ ${plural(count, "character")} left out here; the whole text stands in ${where} ⋯ `));
    from = to;
  }
  plain(from, text.length);
  return parts.filter((part) => part !== "");
}

function outputView(pieces, where) {
  if (!pieces.length) return h("p", { class: "quiet" }, "The output is empty.");
  return pieces.map(([kind, text, gaps, span]) => {
    if (kind === "turn") return h("h4", {}, text);
    const shown_ = h("pre", { class: "text" }, marked_(text, gaps, span, where));
    if (kind === "visible") return shown_;
    const left = gaps.reduce((sum, [, count]) => sum + count, text.length);
    return h("details", { class: "reasoning", open: Boolean(span) }, h("summary", {}, `Reasoning, ${plural(left, "character")}`), shown_);
  });
}

// The turns of a prompt; examples that other prompts have, too, are folded together.
function promptView(task, turns, file) {
  const parts = [];
  let same = [];
  const fold = () => {
    if (!same.length) return;
    const characters = same.reduce((sum, [, place]) => sum + task.shared[place][0].length, 0);
    const name = `${same.length > 1 ? plural(same.length, "turn") : same[0][0] || "text"}, the same in other prompts: ${plural(characters, "character")}`;
    parts.push(h("details", { class: "shared" }, h("summary", {}, name), same.map(([role, place]) => turnView(role, [prefixView(task, place, file)]))));
    same = [];
  };
  turns.forEach(([role, place, rest, gaps], n) => {
    if (place >= 0 && !rest && n < turns.length - 1) same.push([role, place]);
    else if (place >= 0 && !rest) {
      fold();
      parts.push(turnView(role, [prefixView(task, place, file)])); // what is asked is never folded
    } else {
      fold();
      const begins = place >= 0 ? [h("details", { class: "shared" }, h("summary", {}, `Begins as other prompts do: ${plural(task.shared[place][0].length, "character")}`), prefixView(task, place, file))] : [];
      parts.push(turnView(role, [...begins, rest && h("pre", { class: "text" }, marked_(rest, gaps, null, file))]));
    }
  });
  fold();
  return h("div", { class: "turns" }, parts);
}

const turnView = (role, inside) => h("div", { class: "turn" }, role && h("span", { class: "role" }, role), inside.filter(Boolean));

function prefixView(task, place, file) {
  const [text, gaps] = task.shared[place];
  return h("pre", { class: "text" }, marked_(text, gaps, null, file));
}

function logprobView(options) {
  const letters = options.map((_, n) => String.fromCharCode(65 + n));
  return h("table", { class: "small" }, h("thead", {}, row(["option", "log-probability", "tokens", "likeliest token by token"], "th")), h("tbody", {}, options.map(([total, tokens, greedy], n) => row([letters[n], measure(total), tokens, greedy ? "yes" : "no"]))));
}
