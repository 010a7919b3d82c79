"use strict";
// Sorts and filters tables, and enlarges pictures. The page is complete without it.

for (const table of document.querySelectorAll("table.sortable")) {
  makeSortable(table);
  makeFilterable(table);
}
makeEnlargeable();

function cellValue(row, column) {
  const cell = row.cells[column];
  if (!cell) return "";
  const value = cell.dataset.value ?? cell.textContent.trim();
  return value !== "" && isFinite(value) ? Number(value) : value;
}

function compare(a, b) {
  // Missing values come last, numbers before words.
  if (a === "" || b === "") return a === b ? 0 : a === "" ? 1 : -1;
  if (typeof a === "number" && typeof b === "number") return a - b;
  if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
  return a.localeCompare(b, "en", { numeric: true });
}

function makeSortable(table) {
  const headers = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
  headers.forEach((header, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.append(...header.childNodes);
    header.append(button);
    button.addEventListener("click", () => {
      const ascending = header.getAttribute("aria-sort") !== "ascending";
      for (const other of headers) other.removeAttribute("aria-sort");
      header.setAttribute("aria-sort", ascending ? "ascending" : "descending");
      const body = table.tBodies[0];
      const rows = [...body.rows].map((row, index) => ({ row, index, value: cellValue(row, column) }));
      rows.sort((a, b) => {
        const missing = (a.value === "") - (b.value === "");
        if (missing) return missing;
        const order = compare(a.value, b.value) || a.index - b.index;
        return ascending ? order : -order;
      });
      body.append(...rows.map((entry) => entry.row));
    });
  });
}

function makeFilterable(table) {
  const bar = document.getElementById(table.dataset.filter ?? "");
  if (!bar) return;
  const input = bar.querySelector("input");
  const status = bar.querySelector("output");
  const rows = [...table.tBodies[0].rows].map((row) => ({ row, text: row.textContent.toLowerCase() }));
  const apply = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const { row, text } of rows) {
      row.hidden = !words.every((word) => text.includes(word));
      if (!row.hidden) shown += 1;
    }
    status.textContent = words.length ? `${shown} of ${rows.length} rows` : `${rows.length} rows`;
  };
  input.addEventListener("input", apply);
  input.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      input.value = "";
      apply();
    }
  });
  bar.hidden = false;
  apply();
}

function makeEnlargeable() {
  const dialog = document.getElementById("enlarged");
  if (!dialog || !dialog.showModal) return;
  const stage = dialog.querySelector(".stage");
  const close = () => dialog.close();
  const open = (source) => {
    const copy = source.cloneNode(true);
    for (const node of [copy, ...copy.querySelectorAll("*")]) node.removeAttribute("id");
    for (const button of copy.querySelectorAll("button.zoom")) button.remove();
    stage.replaceChildren(copy);
    dialog.showModal();
  };
  for (const figure of document.querySelectorAll("figure.zoomable")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "zoom";
    button.textContent = "Enlarge";
    button.setAttribute("aria-label", `Enlarge: ${figure.dataset.name ?? "picture"}`);
    button.addEventListener("click", () => open(figure));
    figure.append(button);
  }
  dialog.querySelector("button.close").addEventListener("click", close);
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) close();
  });
}
