"use strict";

// Filters the quotas by what is typed: every word must occur in a row.
(() => {
  const words = document.getElementById("words");
  const shown = document.getElementById("shown");
  const table = document.getElementById("rows");
  if (!table) return;
  const groups = Array.from(table.tBodies, (body) => ({
    title: body.querySelector(".title"),
    rows: Array.from(body.querySelectorAll("tr:not(.title)"), (row) => ({ row, text: row.textContent.toLowerCase() })),
  }));
  const all = groups.reduce((sum, group) => sum + group.rows.length, 0);

  const filter = () => {
    const wanted = words.value.toLowerCase().split(/\s+/);
    let count = 0;
    for (const { title, rows } of groups) {
      let fitting = 0;
      for (const { row, text } of rows) {
        const fits = wanted.every((word) => text.includes(word));
        if (row.hidden === fits) row.hidden = !fits;
        if (fits) fitting++;
      }
      if (title) title.hidden = fitting === 0;
      count += fitting;
    }
    shown.textContent = `${count} of ${all} quotas shown`;
  };

  words.addEventListener("input", filter);
  document.getElementById("typing").hidden = false;
  filter(); // a browser may have kept what was typed
})();
