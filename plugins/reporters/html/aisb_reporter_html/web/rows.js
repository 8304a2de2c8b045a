// The table of answers: a list of any length, moved through with the mouse or the keyboard.
"use strict";

const NARROW = matchMedia("(max-width: 640px)");
const WIDTHS = { id: [4, 22], task: [4, 16], answer: [6, 16], gold: [9, 16], model: [5, 18] };
// The least and the most characters of the columns whose width follows their texts.

// A list of any length of which only what is in view stands in the page: rows are reused as it moves.
// row(place) returns what a row shows, or null while it is not known: redraw() when it is. open(place) opens it.
function rowsView({ several, widths, row, open }) {
  const ROOM = 6; // rows above and below what is seen
  const inner = h("div", { class: "rows-inner", role: "presentation" });
  const view = h("div", { class: "rows", tabindex: "0", role: "grid", "aria-label": "Answers", "aria-readonly": "true" }, inner);
  const columns = ["mark", "id", several.task && "task", "begins", "answer", "gold", several.model && "model", "tokens"].filter(Boolean);
  const names = { mark: "", id: "id", task: "task", begins: "question", answer: "answer", gold: "reference", model: "model", tokens: "tokens" };
  const heads = h("div", { class: "row head", "aria-hidden": "true" }, columns.map((name) => h("span", { class: `c-${name}` }, names[name])));
  const element = h("div", { class: `samples ${several.task ? "with-task" : ""} ${several.model ? "with-model" : ""}` }, heads, view);
  for (const [name, texts_] of Object.entries(widths)) {
    const [least, most] = WIDTHS[name];
    const wide = Math.min(most, Math.max(least, ...texts_.map((text) => (text ?? "").length)));
    element.style.setProperty(`--w-${name}`, `calc(${wide}ch + .3rem)`);
  }
  const pool = [];
  let count = 0;
  let current = 0;
  let planned = false;

  function made() {
    const cells = Object.fromEntries(columns.map((name) => [name, h("span", { class: `c-${name}`, role: "gridcell" })]));
    const line = h("div", { class: "row", role: "row", onclick: () => choose(line.shown, true) }, Object.values(cells));
    inner.append(line);
    return Object.assign(line, { cells, place: -1, shown: -1, id: `row-${pool.length}` });
  }

  function fill(line, place) {
    const { cells } = line;
    const found = row(place);
    line.place = found ? place : -1;
    line.shown = place;
    const outcome = found ? OUTCOMES[found.outcome] : null;
    cells.mark.textContent = outcome ? outcome.mark : "";
    cells.mark.className = outcome ? `c-mark mark ${outcome.name}` : "c-mark";
    cells.mark.title = outcome ? `${outcome.name}: ${outcome.meaning}` : "";
    cells.id.textContent = found ? found.id + (found.repeat ? ` r${found.repeat}` : "") : "…";
    if (cells.task) cells.task.textContent = found?.task ?? "";
    cells.begins.textContent = found?.begins ?? "";
    for (const name of ["answer", "gold", "tokens"]) cells[name].textContent = found ? (found[name] ?? "–") : "";
    if (cells.model) cells.model.textContent = found?.model ?? "";
    line.setAttribute("aria-rowindex", place + 1);
    line.setAttribute("aria-label", found ? `${outcome.name}, ${cells.id.textContent}, answer ${cells.answer.textContent}, right ${cells.gold.textContent}` : "loading");
  }

  const height = () => (NARROW.matches ? 58 : 32);

  function draw() {
    planned = false;
    const tall = height();
    const first = Math.max(0, Math.floor(view.scrollTop / tall) - ROOM);
    const seen = Math.min(count - first, Math.ceil(view.clientHeight / tall) + 2 * ROOM);
    while (pool.length < seen) pool.push(made());
    // Row n of the list always stands in the same element of the pool, so most stay as they are.
    const used = new Set();
    for (let place = first; place < first + seen; place++) {
      const line = pool[place % pool.length];
      used.add(line);
      if (line.place !== place) {
        fill(line, place);
        line.style.transform = `translateY(${place * tall}px)`;
      }
      line.hidden = false;
      line.classList.toggle("current", place === current);
    }
    for (const line of pool) if (!used.has(line)) line.hidden = true;
    const here = pool.length ? pool[current % pool.length] : null;
    if (here && !here.hidden && here.shown === current) view.setAttribute("aria-activedescendant", here.id);
    else view.removeAttribute("aria-activedescendant");
  }

  function plan() {
    if (planned) return;
    planned = true;
    requestAnimationFrame(draw);
  }

  function again() {
    heads.style.setProperty("--bar", `${view.offsetWidth - view.clientWidth}px`);
    for (const line of pool) line.place = -1;
    inner.style.height = `${count * height()}px`;
    draw();
  }

  function choose(place, opened = false) {
    current = Math.max(0, Math.min(count - 1, place));
    const [tall, above] = [height(), current * height()];
    if (above < view.scrollTop) view.scrollTop = above;
    else if (above + tall > view.scrollTop + view.clientHeight) view.scrollTop = above + tall - view.clientHeight;
    draw();
    if (opened && count) open(current);
  }

  view.addEventListener("scroll", plan, { passive: true });
  view.addEventListener("keydown", (event) => {
    const page = Math.max(1, Math.floor(view.clientHeight / height()) - 1);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -count, End: count };
    if (event.key in steps) choose(current + steps[event.key]);
    else if (event.key === "Enter" || event.key === " ") choose(current, true);
    else return;
    event.preventDefault();
  });
  NARROW.addEventListener("change", again);
  new ResizeObserver(plan).observe(view);
  return {
    element,
    focus: () => view.focus(),
    choose,
    redraw: plan,
    show(number) {
      count = number;
      current = 0;
      view.scrollTop = 0;
      view.setAttribute("aria-rowcount", count);
      element.classList.toggle("short", count * height() < 300);
      view.style.height = count * height() < 300 ? `${Math.max(1, count) * height() + 2}px` : "";
      again();
    },
  };
}
