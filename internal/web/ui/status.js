"use strict";

// Filters the quotas of this page while words are typed: every word must occur in a row. Enter filters all pages on the server.
(() => {
  const words = document.getElementById("words");
  const shown = document.getElementById("shown");
  const table = document.getElementById("rows");
  if (!table) return;
  const text = (row) => [0, 1, 2, 4].map((cell) => row.cells[cell].textContent).join(" ").toLowerCase();
  const groups = Array.from(table.tBodies, (body) => ({
    title: body.querySelector(".title"),
    rows: Array.from(body.querySelectorAll("tr:not(.title)"), (row) => ({ row, text: text(row) })),
  }));
  const here = groups.reduce((sum, group) => sum + group.rows.length, 0);
  const all = Number(table.dataset.all);

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
    shown.textContent = `${count} of ${here} quotas shown` + (all > here ? "; Enter searches all pages" : "");
  };

  words.addEventListener("input", filter);
  filter(); // the browser might restore text after a reload
})();
