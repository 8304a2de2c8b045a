// The pages of `aisb view`, by the part of the address after the #.
"use strict";

async function route() {
  clearTimeout(timer);
  const mine = ++shown;
  const [what, ...rest] = location.hash.slice(1).split("/").map(decodeURIComponent);
  before = {};
  const page = what === "run" ? () => runPage(rest[0], mine)
    : what === "compare" && !BUNDLE ? () => comparePage(rest, mine) : () => listPage(mine);
  try { await page(); document.getElementById("state").textContent = ""; main.focus({ preventScroll: true }); }
  catch (error) { if (mine === shown) show(el("p", { class: "error" }, error.message)); }
}

addEventListener("hashchange", route);
route();
