// A page of plots: what stands above and below them, and the plots.
"use strict";

function introduce(head) {
  for (const [name, value] of [["certificate", head.verdict], ...head.facts]) {
    const pair = document.createElement("div");
    pair.append(element("dt", name), element("dd", value, name === "certificate" ? value : ""));
    at("facts").append(pair);
  }
  for (const [verdict, reason] of head.signals) at("signals").append(element("li", `${verdict}: ${reason}`));
  for (const note of head.notes) at("notes").append(element("li", note));
  if (head.every > 1) {
    at("notes").prepend(
      element("li", `This page holds one request in ${head.every} of ${counted(head.requests)}: rates and numbers in flight are estimated from them.`),
    );
  }
}

// A page that shows this one inside of it learns how tall it is.
function tellHeight() {
  if (parent === window) return;
  const tell = () => parent.postMessage({ height: document.documentElement.offsetHeight }, "*");
  new ResizeObserver(tell).observe(document.body);
}

function plots(charts) {
  return page(async () => {
    const { head, columns } = decoded(await inflated("data"));
    introduce(head);
    await library();
    theme.heard(await drawn(head, [charts(head, columns)]));
    tellHeight();
  });
}
