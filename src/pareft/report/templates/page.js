"use strict";

// Tables: a button in every head sorts the rows, the other way round when it is pressed again.

function compareCells(one, other, numeric) {
  if (!numeric) return one.localeCompare(other, "en", { numeric: true });
  const [first, second] = [one, other].map((text) => parseFloat(text.replaceAll(",", "")));
  return first - second;
}

function isMissing(text, numeric) {
  return text === "" || text === "–" || (numeric && Number.isNaN(parseFloat(text)));
}

function sortRows(table, head) {
  const direction = head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", direction);
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row) => [row.cells[head.cellIndex].textContent.trim(), row]);
  const numeric = head.classList.contains("number") && rows.every(([text]) => isMissing(text, false) || !isMissing(text, true));
  const sign = direction === "ascending" ? 1 : -1;
  rows.sort(([one], [other]) => {
    const [missing, absent] = [isMissing(one, numeric), isMissing(other, numeric)]; // these stay last
    return missing || absent ? missing - absent : sign * compareCells(one, other, numeric);
  });
  body.append(...rows.map(([, row]) => row));
}

for (const table of document.querySelectorAll("table.sortable")) {
  for (const head of table.tHead.rows[0].cells) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.addEventListener("click", () => sortRows(table, head));
    head.append(button);
  }
}

// Examples: which are shown, of which arms, in which order.

function orderCards(cards, order) {
  const found = [...cards];
  const score = (card) => parseFloat(card.dataset.score ?? "NaN");
  if (order === "id") found.sort((one, other) => one.dataset.id.localeCompare(other.dataset.id, "en", { numeric: true }));
  if (order === "high") found.sort((one, other) => score(other) - score(one) || 0);
  if (order === "low") found.sort((one, other) => score(one) - score(other) || 0);
  return found;
}

function holds(card, wanted) {
  const parts = [...card.querySelectorAll(".text")].filter((part) => !part.closest("[data-arm][hidden]"));
  return parts.some((part) => part.textContent.toLowerCase().includes(wanted));
}

for (const section of document.querySelectorAll(".examples")) {
  const form = section.querySelector("form");
  const list = section.querySelector(".cards");
  const cards = [...list.children];
  const update = () => {
    const arms = new Set([...form.querySelectorAll("input[type=checkbox]:checked")].map((box) => box.value));
    for (const text of section.querySelectorAll("[data-arm]")) text.hidden = !arms.has(text.dataset.arm);
    const wanted = form.querySelector("input[type=search]").value.trim().toLowerCase();
    for (const card of cards) card.hidden = wanted !== "" && !holds(card, wanted);
    list.append(...orderCards(cards, form.querySelector("select").value));
    form.querySelector("output").value = `${cards.filter((card) => !card.hidden).length} of ${cards.length} shown`;
  };
  form.addEventListener("input", update);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  update();
}
