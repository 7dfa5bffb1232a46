// Sorts a table by the heading that is clicked: numbers largest first, texts from A to Z, a second
// click turns it around. What has no value stays at the end; rows of the foot stay where they are.
"use strict";

const texts = new Intl.Collator("en", { numeric: true });

for (const button of document.querySelectorAll("table.sortable thead button")) {
  button.addEventListener("click", () => sortBy(button));
}

function sortBy(button) {
  const heading = button.closest("th");
  const column = Number(button.dataset.column);
  const numeric = heading.classList.contains("number");
  const direction = nextDirection(heading.getAttribute("aria-sort"), numeric);
  const table = button.closest("table");
  for (const other of table.querySelectorAll("th[aria-sort]")) {
    other.setAttribute("aria-sort", other === heading ? direction : "none");
  }
  const body = table.tBodies[0];
  const sign = direction === "ascending" ? 1 : -1;
  const compare = numeric ? (a, b) => a - b : texts.compare;
  const rows = [...body.rows].map((row) => [value(row.cells[column], numeric), row]);
  rows.sort(([a], [b]) => (a === null) - (b === null) || (a !== null && sign * compare(a, b)));
  body.append(...rows.map(([, row]) => row));
}

function nextDirection(current, numeric) {
  if (current === "ascending") return "descending";
  if (current === "descending") return "ascending";
  return numeric ? "descending" : "ascending";
}

function value(cell, numeric) {
  if (!numeric) return cell.textContent;
  return "value" in cell.dataset ? Number(cell.dataset.value) : null;
}
