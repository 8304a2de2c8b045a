// The links at the top of a page: a link for each section, the one in view marked.
"use strict";

function contents() {
  const sections = [...document.querySelectorAll("main > section:not([hidden])")];
  at("contents").replaceChildren(...sections.map((section) => h("a", { href: `#${section.id}` }, section.querySelector("h2").textContent)));
  const links = new Map(sections.map((section, place) => [section, at("contents").children[place]]));
  const seen = new Set();
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) entry.isIntersecting ? seen.add(entry.target) : seen.delete(entry.target);
    const first = sections.find((section) => seen.has(section));
    for (const [section, link] of links) link.toggleAttribute("data-here", section === first);
  }, { rootMargin: "-60px 0px -40% 0px" });
  for (const section of sections) watcher.observe(section);
}
