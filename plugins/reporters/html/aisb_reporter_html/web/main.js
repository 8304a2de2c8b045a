// Unpack the page's head, draw section after section, and say when all of it stands.
"use strict";

page(async () => {
  at("theme").addEventListener("click", theme.toggle);
  const head = JSON.parse(new TextDecoder().decode(await inflated("head")));
  top_(head);
  for (const draw of [scores, ledger, matrix, groups, repeats, lengths, loadTable, tradeoffs, samples]) draw(head);
  await speeds(head);
  contents();
});
