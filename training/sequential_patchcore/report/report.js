"use strict";
// Without this script the page shows all images; with it they can be chosen and enlarged.

const cards = [...document.querySelectorAll(".card")];
const filters = document.querySelector(".filters");

function choose() {
  const chosen = new FormData(filters);
  const outcome = chosen.get("outcome"), className = chosen.get("class");
  let shown = 0;
  for (const card of cards) {
    const fits = (!outcome || card.dataset.outcomes.split(" ").includes(outcome))
      && (!className || card.dataset.classes.split("|").includes(className));
    card.hidden = !fits;
    shown += fits;
  }
  filters.querySelector("output").textContent = `${shown} of ${cards.length} shown`;
}
filters.addEventListener("change", choose);
filters.addEventListener("submit", (event) => event.preventDefault());
choose();

const dialog = document.querySelector("dialog");
const large = dialog.querySelector("img");
let open = null;

function enlarge(button) {
  const image = button.querySelector("img");
  open = button;
  large.src = image.src;
  large.alt = image.alt;
  large.style.setProperty("--ratio", image.naturalWidth / image.naturalHeight || 1.5);
  dialog.querySelector("figcaption").textContent = button.dataset.caption;
  if (!dialog.open) dialog.showModal();
}

document.addEventListener("click", (event) => {
  const button = event.target.closest(".picture");
  if (button) enlarge(button);
  else if (event.target === dialog) dialog.close();
});

dialog.addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const pictures = [...document.querySelectorAll(".card:not([hidden]) .picture")];
  const next = pictures[pictures.indexOf(open) + step];
  if (next) enlarge(next);
});

dialog.addEventListener("close", () => {
  open.scrollIntoView({ block: "nearest" });
  open.focus();
});
