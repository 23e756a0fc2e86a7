"use strict";
// The page's figures come from tables over all pixels; its pictures only show where. At level k of a model's
// threshold a pixel is predicted when its code is above k, an instance is found when its highest level is at least k.

const data = JSON.parse(document.getElementById("data").textContent);
const sources = [...document.querySelectorAll("script.pictures")];
const cards = [...document.querySelectorAll(".card")];
const byId = (id) => document.getElementById(id);
const OUTCOMES = { missed: "defect missed", alarm: "false alarm", found: "all defects found", passed: "correctly passed" };
const PRINTED = 40, KEPT = 48;

function unpack(text, Kind) {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  return new Kind(bytes.buffer);
}
const offsets = [0]; // of each image's instances
for (const image of data.images) offsets.push(offsets.at(-1) + image.instances.length);
for (const model of data.models) {
  model.tp = unpack(model.tp, Uint32Array);
  model.fp = unpack(model.fp, Uint32Array);
  model.highest = unpack(model.highest, Int16Array);
  model.level = model.chosen;
}
let coverage = data.coverage.indexOf(data.coverageChosen);

// ---- figures ----

function counts(m, i) {
  const model = data.models[m], at = i * model.levels.length + model.level;
  const image = data.images[i], tp = model.tp[at], fp = model.fp[at];
  let missed = 0;
  image.instances.forEach((place, n) => {
    if (data.classes[place]?.kind === "defect" && !found(m, offsets[i] + n)) missed++;
  });
  if (image.whole) { // labelled as a whole: what is predicted is neither right nor wrong
    const outcome = image.whole === "defect" ? (fp ? "found" : "missed") : fp ? "alarm" : "passed";
    return { tp: 0, fp: 0, fn: 0, missed: Number(outcome === "missed"), outcome, predicted: fp };
  }
  const outcome = image.positives ? (missed || !tp ? "missed" : "found") : fp ? "alarm" : "passed";
  return { tp, fp, fn: image.positives - tp, missed, outcome, predicted: tp + fp };
}

function found(m, instance) {
  const model = data.models[m];
  return model.highest[instance * data.coverage.length + coverage] >= model.level;
}

function totals(m) {
  const model = data.models[m], sum = { tp: 0, fp: 0, positives: 0, clean: 0, alarmed: 0 };
  const images = { hits: 0, false: 0, missed: 0 };
  const classes = data.classes.map((_, place) => ({
    detected: 0, instances: 0, pixels: 0, predicted: model.classPixels[place][model.level],
  }));
  data.images.forEach((image, i) => {
    const result = counts(m, i);
    sum.tp += result.tp; sum.fp += result.fp; sum.positives += image.positives;
    sum.clean += image.clean; sum.alarmed += image.clean && result.fp > 0;
    const defective = image.whole === "defect" || image.positives > 0, alarms = result.predicted > 0;
    images.hits += defective && alarms; images.false += alarms && !defective; images.missed += defective && !alarms;
    for (const [place, pixels] of Object.entries(image.classPixels)) classes[place].pixels += pixels;
    image.instances.forEach((place, n) => {
      if (place < 0) return;
      classes[place].instances++;
      classes[place].detected += found(m, offsets[i] + n);
    });
  });
  const ratio = (part, whole) => (whole ? part / whole : null);
  const defects = classes.filter((sums, place) => data.classes[place].kind === "defect" && sums.instances);
  const told = sum.positives || !data.images.some((image) => image.whole === "defect");
  return {
    ...sum, classes, threshold: model.levels[model.level],
    precision: told ? ratio(sum.tp, sum.tp + sum.fp) : null, recall: ratio(sum.tp, sum.positives),
    f1: told ? ratio(2 * sum.tp, sum.tp + sum.fp + sum.positives) : null,
    images: ratio(2 * images.hits, 2 * images.hits + images.false + images.missed),
    mean: ratio(defects.reduce((all, sums) => all + sums.detected / sums.instances, 0), defects.length),
    found: defects.reduce((all, sums) => all + sums.detected, 0), defects: defects.reduce((all, sums) => all + sums.instances, 0),
  };
}

function percent(share) {
  if (share === null) return "–";
  const text = (100 * share).toFixed(1);
  if (share > 0 && Number(text) === 0) return "< 0.1";
  return share < 1 && Number(text) === 100 ? "> 99.9" : text;
}
const count = (value) => String(value).replace(/\B(?=(\d{3})+$)/g, "\u202f");
const short = (value) => String(Number(value.toPrecision(4)));

function cell(element, text, value, small) {
  element.textContent = text;
  element.dataset.value = value ?? "";
  if (small) element.append(Object.assign(document.createElement("small"), { textContent: small }));
}

function showFigures() {
  data.models.forEach((model, m) => {
    const sum = totals(m), row = document.querySelector(`.live tr[data-model="${m}"]`);
    const at = (name) => row.querySelector(`[data-of="${name}"]`);
    row.classList.toggle("moved", model.level !== model.chosen);
    cell(at("threshold"), short(sum.threshold), sum.threshold);
    for (const name of ["precision", "recall", "f1", "mean", "images"]) cell(at(name), percent(sum[name]), sum[name]);
    cell(at("found"), sum.defects ? count(sum.found) : "–", sum.found, sum.defects ? `of ${count(sum.defects)}` : "");
    cell(at("alarmed"), sum.clean ? count(sum.alarmed) : "–", sum.alarmed, sum.clean ? `of ${count(sum.clean)}` : "");
    sum.classes.forEach((sums, place) => {
      const where = (name) => document.querySelector(`[data-class="${place}"][data-model="${m}"][data-of="${name}"]`);
      const recall = sums.instances ? sums.detected / sums.instances : null;
      const share = sums.pixels ? sums.predicted / sums.pixels : null;
      cell(where("instances"), percent(recall), recall, `${count(sums.detected)} of ${count(sums.instances)}`);
      cell(where("pixels"), percent(share), share);
    });
  });
  for (const card of cards) {
    const i = Number(card.dataset.index);
    data.models.forEach((_, m) => {
      const result = counts(m, i), column = card.querySelector(`.column[data-model="${m}"]`);
      for (const name of ["tp", "fp", "fn"]) column.querySelector(`[data-of="${name}"]`).textContent = count(result[name]);
      const tag = column.querySelector(".tag");
      tag.className = `tag ${result.outcome}`;
      tag.textContent = OUTCOMES[result.outcome];
      for (const button of column.querySelectorAll("[data-alarm]")) {
        button.classList.toggle("below", data.images[i].alarms[m][button.dataset.alarm].code <= data.models[m].level);
      }
    });
  }
}

// ---- pictures ----

const loaded = new Map(); // image -> Promise of pixels
const ready = new Map(); // image -> pixels, for drawing without waiting

async function pixels(type, text) {
  const image = new Image();
  image.src = `data:image/${type};base64,${text}`;
  await image.decode();
  const canvas = document.createElement("canvas");
  canvas.width = image.naturalWidth;
  canvas.height = image.naturalHeight;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

function grey(picture) {
  const values = new Uint8Array(picture.width * picture.height);
  for (let k = 0; k < values.length; k++) values[k] = picture.data[4 * k];
  return values;
}

function load(i) {
  if (!loaded.has(i)) {
    loaded.set(i, (async () => {
      const text = JSON.parse(sources[i].textContent);
      const greys = (list) => Promise.all(list.map(async (code) => code && grey(await pixels("png", code))));
      const [photograph, labels, maps, predicted, passed] = await Promise.all([
        pixels("jpeg", text.photograph), pixels("png", text.labels), greys(text.maps), greys(text.predicted),
        greys(text.passed),
      ]);
      const whole = data.images[i].whole;
      const image = { i, photograph, labels: grey(labels), whole, maps, passed, predicted: predicted.map((codes, m) => codes ?? maps[m]) };
      ready.set(i, image);
      if (ready.size > KEPT) { // the oldest that is not on the screen
        for (const old of ready.keys()) {
          if (old !== i && !near.has(old)) { ready.delete(old); loaded.delete(old); break; }
        }
      }
      return image;
    })());
  }
  return loaded.get(i);
}

const OUTLINE = 64, OUTSIDE = 128, CLASS = 63;
const isDefect = new Uint8Array(64);
data.classes.forEach((info, place) => { isDefect[place + 1] = info.kind === "defect" ? 1 : 0; });

function draw(canvas, kind, m, image) {
  const { width, height, data: photograph } = image.photograph;
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d"), picture = context.createImageData(width, height), out = picture.data;
  const named = kind === "overlay" && data.models[m].level === data.models[m].chosen && data.images[image.i].named[m];
  if (kind === "photograph") out.set(photograph);
  else if (kind === "labels") drawLabels(out, photograph, image.labels);
  else if (kind === "overlay") drawOverlay(out, photograph, image, image.predicted[m], data.models[m].level, named && image.passed[m]);
  else drawMap(out, image.labels, image.maps[m], image.predicted[m], width, data.models[m]);
  context.putImageData(picture, 0, 0);
  if (named) drawNames(context, named, width / data.images[image.i].width, width);
}

function drawNames(context, named, scale, width) { // at the threshold that the verdicts were set for, and at no other
  const colour = (verdict) => data.colours.verdicts[verdict] ?? data.colours.verdicts.passed;
  context.font = `${Math.max(9, Math.round(width / 45))}px sans-serif`;
  context.textBaseline = "bottom";
  for (const [x, y, w, h, verdict] of named) {
    context.strokeStyle = colour(verdict);
    context.strokeRect(scale * x - 1.5, scale * y - 1.5, scale * w + 3, scale * h + 3);
  }
  for (const [x, y, w, h, verdict] of named) {
    const length = context.measureText(verdict).width, size = parseInt(context.font);
    const left = Math.max(0, Math.min(scale * x - 2, width - length - 4));
    const bottom = scale * y - 3 > size + 2 ? scale * y - 3 : scale * (y + h) + size + 5;
    context.fillStyle = "rgba(20, 20, 20, 0.8)";
    context.fillRect(left, bottom - size - 2, length + 4, size + 3);
    context.fillStyle = colour(verdict);
    context.fillText(verdict, left + 2, bottom);
  }
}

function tint(out, at, base, colour, share) {
  for (let c = 0; c < 3; c++) out[at + c] = base + (colour[c] - base) * share;
}

function luma(photograph, at) {
  return 0.299 * photograph[at] + 0.587 * photograph[at + 1] + 0.114 * photograph[at + 2];
}

function drawLabels(out, photograph, labels) {
  for (let k = 0, at = 0; k < labels.length; k++, at += 4) {
    const label = labels[k], base = luma(photograph, at) * (label & OUTSIDE ? 0.4 : 0.85), place = label & CLASS;
    out[at] = out[at + 1] = out[at + 2] = base;
    out[at + 3] = 255;
    if (place) tint(out, at, base, data.classes[place - 1].colour, 0.85);
  }
}

function drawOverlay(out, photograph, { labels, whole }, codes, level, letThrough) {
  const { tp, fn, impurity, passed } = data.colours, fp = whole ? data.colours.unplaced : data.colours.fp;
  for (let k = 0, at = 0; k < labels.length; k++, at += 4) {
    const label = labels[k], base = luma(photograph, at) * (label & OUTSIDE ? 0.4 : 0.85);
    out[at] = out[at + 1] = out[at + 2] = base;
    out[at + 3] = 255;
    if (label & OUTSIDE) continue;
    const named = letThrough && letThrough[k] > 0; // under an impurity's name: no alarm, and on a defect a miss
    const predicted = codes[k] > level && !named, defect = isDefect[label & CLASS];
    if (defect) tint(out, at, base, predicted ? tp : fn, 0.75);
    else if (named) tint(out, at, base, passed, 0.75);
    else if (predicted) tint(out, at, base, fp, 0.75);
    if (label & OUTLINE && !(defect || predicted || named)) tint(out, at, base, impurity, 1);
  }
}

function drawMap(out, labels, reached, codes, width, model) {
  model.shades ??= Array.from({ length: model.levels.length + 1 }, (_, code) => {
    const low = code ? model.levels[code - 1] : 0, high = model.levels[code] ?? low;
    return data.colours.map[Math.min(63, Math.floor(64 * ((low + high) / 2 / model.top)))];
  });
  for (let k = 0, at = 0; k < codes.length; k++, at += 4) {
    const shade = model.shades[reached[k]], dark = labels[k] & OUTSIDE ? 0.4 : 1;
    for (let c = 0; c < 3; c++) out[at + c] = shade[c] * dark;
    out[at + 3] = 255;
    if (codes[k] > model.level || dark < 1) continue; // the line just outside of what is predicted
    const x = k % width;
    const beside = (n, inside) => inside && codes[n] > model.level && !(labels[n] & OUTSIDE);
    if (beside(k - 1, x > 0) || beside(k + 1, x < width - 1) || beside(k - width, k >= width)
      || beside(k + width, k + width < codes.length)) tint(out, at, 0, [255, 255, 255], 1);
  }
}

function drawCard(card, image) {
  for (const button of card.querySelectorAll(".picture")) {
    draw(button.firstElementChild, button.dataset.kind, Number(button.dataset.model), image);
  }
}

const near = new Set(); // images close to the screen
const watcher = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    const i = Number(target.dataset.index);
    if (isIntersecting) {
      near.add(i);
      load(i).then((image) => near.has(i) && drawCard(target, image));
    } else {
      near.delete(i); // hundreds of canvases would fill the memory
      for (const canvas of target.querySelectorAll("canvas")) canvas.width = canvas.height = 0;
    }
  }
}, { rootMargin: "500px 0px" });
cards.forEach((card) => watcher.observe(card));

let asked = 0;
function redraw() {
  cancelAnimationFrame(asked);
  asked = requestAnimationFrame(() => {
    for (const i of near) if (ready.has(i)) drawCard(byId(`image-${i}`), ready.get(i));
    if (large.open && open) enlarge(open);
  });
}

// ---- threshold, choice and order ----

const slider = byId("rung"), moved = byId("moved");
slider.min = -Math.min(...data.models.map((model) => model.chosen));
slider.max = Math.min(...data.models.map((model) => model.levels.length - 1 - model.chosen));
slider.value = 0;

function move() {
  const step = Number(slider.value);
  data.models.forEach((model, m) => {
    if (!moved?.value || Number(moved.value) === m) model.level = model.chosen + step;
  });
  const model = data.models[Number(moved?.value || 0)];
  const base = model.levels[model.chosen], text = base > 0 ? `${(model.levels[model.level] / base).toFixed(2)} × calibrated` : short(model.levels[model.level]);
  byId("factor").textContent = step ? text : "calibrated";
  slider.setAttribute("aria-valuetext", byId("factor").textContent);
  showFigures();
  redraw();
}

function settle() { // only when the slider rests: cards that vanish under the hand would be a nuisance
  choose();
}

function step(by) {
  slider.value = by ? Number(slider.value) + by : 0;
  move();
  settle();
}

function choose() {
  const outcome = byId("outcome").value, place = byId("class").value;
  const shown = [];
  for (const card of cards) {
    const i = Number(card.dataset.index);
    const fits = (!outcome || data.models.some((_, m) => counts(m, i).outcome === outcome))
      && (place === "" || Number(place) in data.images[i].classPixels);
    card.hidden = !fits;
    if (fits) shown.push(card);
  }
  byId("shown").textContent = `${shown.length} of ${cards.length} images`;
  preload(ordered().filter((card) => !card.hidden).slice(0, PRINTED));
}

function keys(card) {
  const i = Number(card.dataset.index), sort = byId("sort").value;
  if (sort === "name") return [];
  if (sort.startsWith("score")) return [data.images[i].scores[Number(sort.slice(5))] ?? -1];
  const results = data.models.map((_, m) => counts(m, i));
  const sum = (value) => results.reduce((all, result) => all + value(result), 0);
  if (sort === "missed") return [sum((result) => result.missed), sum((result) => result.fn)];
  if (sort === "alarms") return [sum((result) => result.fp)];
  return [sum((result) => result.missed), sum((result) => result.fp + result.fn)];
}

let order = cards;
const ordered = () => order;
function sort() {
  const keyed = cards.map((card) => [keys(card), data.images[card.dataset.index].id, card]);
  keyed.sort(([a, idA], [b, idB]) => {
    for (let n = 0; n < a.length; n++) if (a[n] !== b[n]) return b[n] - a[n];
    return idA < idB ? -1 : 1;
  });
  order = keyed.map(([, , card]) => card);
  byId("cards").append(...order);
}

slider.addEventListener("input", move);
slider.addEventListener("change", settle);
byId("reset").addEventListener("click", () => step(0));
moved?.addEventListener("change", () => {
  const model = data.models[Number(moved.value || 0)];
  slider.value = model.level - model.chosen;
  if (!moved.value) move();
  else byId("factor").textContent = model.level === model.chosen ? "calibrated" : `${(model.levels[model.level] / model.levels[model.chosen]).toFixed(2)} × calibrated`;
});
byId("coverage").addEventListener("change", (event) => { coverage = Number(event.target.value); showFigures(); choose(); });
for (const id of ["outcome", "class"]) byId(id).addEventListener("change", choose);
byId("sort").addEventListener("change", () => { sort(); choose(); });
document.querySelector(".desk").addEventListener("submit", (event) => event.preventDefault());

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || compare.open) return;
  if (event.key === "[") step(-1);
  else if (event.key === "]") step(1);
  else if (event.key === "0") step(0);
  else if ((event.key === "j" || event.key === "k") && event.target.tagName !== "SELECT") {
    const visible = ordered().filter((card) => !card.hidden);
    const at = visible.indexOf(document.activeElement.closest?.(".card"));
    const next = visible[at + (event.key === "j" ? 1 : -1)] ?? visible[at];
    next?.scrollIntoView({ block: "start" });
    next?.focus({ preventScroll: true });
  }
});

const desk = document.querySelector(".desk"); // what scrolls into view must not hide behind it
new ResizeObserver(() => {
  document.documentElement.style.setProperty("--desk", `${getComputedStyle(desk).position === "sticky" ? desk.offsetHeight : 0}px`);
}).observe(desk);

// ---- enlarged pictures, false alarms ----

const large = byId("large"), compare = byId("compare");
let open = null;

function enlarge(button) {
  open = button;
  const i = Number(button.closest(".card").dataset.index);
  load(i).then((image) => {
    if (open !== button) return;
    const canvas = large.querySelector("canvas");
    draw(canvas, button.dataset.kind, Number(button.dataset.model), image);
    canvas.style.setProperty("--ratio", canvas.width / canvas.height);
    large.querySelector("figcaption").textContent = button.dataset.caption;
    if (!large.open) large.showModal();
  });
}

function showAlarm(i, m, n) {
  const alarm = data.images[i].alarms[m][n], picture = JSON.parse(sources[i].textContent).alarms[m][n];
  const model = data.models[m], level = model.levels[model.level];
  byId("here").src = `data:image/jpeg;base64,${picture.here}`;
  byId("nominal").hidden = !picture.nominal;
  if (picture.nominal) byId("nominal").src = `data:image/jpeg;base64,${picture.nominal}`;
  byId("missing").textContent = picture.nominal ? "" : alarm.note;
  const where = alarm.place ? ` around (${alarm.place[0]}, ${alarm.place[1]})` : "";
  byId("story").textContent = `${data.images[i].id} at (${alarm.x}, ${alarm.y}), ${model.name}: score ${short(alarm.score)}, `
    + `${alarm.score >= level ? "at or above" : "below"} the threshold ${short(level)}. The nearest vector of the coreset, `
    + `at distance ${short(alarm.distance)} before the blur, comes from ${alarm.dataset}, image ${alarm.sample}${where}.`
    + (picture.nominal && alarm.note ? ` Note: ${alarm.note}.` : "");
  compare.showModal();
}

function alarmAt(button, event) { // the predicted alarm nearest to a click on an overlay
  if (button.dataset.kind !== "overlay" || !event.detail) return null;
  const i = Number(button.closest(".card").dataset.index), m = Number(button.dataset.model), image = data.images[i];
  const box = button.getBoundingClientRect();
  const x = (event.clientX - box.left) / box.width * image.width, y = (event.clientY - box.top) / box.height * image.height;
  let best = null, nearest = 0.05 * Math.max(image.width, image.height);
  image.alarms[m].forEach((alarm, n) => {
    const away = Math.hypot(alarm.x - x, alarm.y - y);
    if (alarm.code > data.models[m].level && away < nearest) [best, nearest] = [n, away];
  });
  return best === null ? null : [i, m, best];
}

document.addEventListener("click", (event) => {
  const alarm = event.target.closest("[data-alarm]"), picture = event.target.closest(".picture");
  if (alarm) {
    const i = Number(alarm.closest(".card").dataset.index);
    showAlarm(i, Number(alarm.closest(".column").dataset.model), Number(alarm.dataset.alarm));
  } else if (picture) {
    const hit = alarmAt(picture, event);
    if (hit) showAlarm(...hit);
    else enlarge(picture);
  } else if (event.target === large || event.target === compare) event.target.close();
});

large.addEventListener("keydown", (event) => {
  const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (!by) return;
  event.preventDefault();
  const pictures = [...document.querySelectorAll(".card:not([hidden]) .picture")];
  const next = pictures[pictures.indexOf(open) + by];
  if (next) enlarge(next);
});
large.addEventListener("close", () => {
  const last = open;
  open = null;
  last.scrollIntoView({ block: "nearest" });
  last.focus();
});

// ---- print: the first images of the chosen order ----

let preloading = 0;
async function preload(first) { // one after the other, and only for the latest choice
  const mine = ++preloading;
  for (const card of first) {
    if (mine !== preloading) return;
    await load(Number(card.dataset.index));
  }
}

window.addEventListener("beforeprint", () => {
  const shown = ordered().filter((card) => !card.hidden);
  shown.forEach((card, n) => {
    const image = ready.get(Number(card.dataset.index));
    card.classList.toggle("unprinted", n >= PRINTED || !image);
    if (n < PRINTED && image) drawCard(card, image);
  });
});
window.addEventListener("afterprint", () => {
  for (const card of cards) card.classList.remove("unprinted");
});

move();
choose();
