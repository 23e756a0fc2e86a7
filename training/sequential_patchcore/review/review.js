// SPDX-License-Identifier: Apache-2.0
"use strict";

const $ = (id) => document.getElementById(id);
const token = document.body.dataset.token;
const NEAR = 400;                    // pixels of a side of the two close-ups
let state = null, at = 0, busy = false;
let drawn = null;                    // the box of a missed defect in the making, [x, y, width, height] in image pixels
let waiting = null;                  // what is to be sent once it is confirmed
const pictures = new Map();          // address -> Image, so that browsing back is immediate

function picture(address) {
  if (!pictures.has(address)) {
    const image = new Image();
    image.src = address;
    pictures.set(address, image);
    if (pictures.size > 60) pictures.delete(pictures.keys().next().value);
  }
  const image = pictures.get(address);
  return image.decode().then(() => image);
}

function say(words, bad = false) {
  $("message").textContent = words;
  $("message").className = bad ? "bad" : "";
}

const item = () => state && state.items[at];

function show() {
  const left = state.left, now = item();
  $("progress").textContent = left ? `${left} to decide, ${state.decided} decided`
    : `nothing is left to decide; ${state.decided} decided`;
  $("model").textContent = `model ${state.active}, threshold ${state.threshold.toPrecision(4)}, written to ${state.file}`;
  $("notes").textContent = state.notes.join("; ");
  $("list").replaceChildren(...state.items.map((one, number) => {
    const line = document.createElement("li");
    const answer = one.decision ? (one.impurity ? `${one.decision}: ${one.impurity}` : one.decision) + ` (${one.who})`
      : one.box ? one.score.toPrecision(4) + (one.named ? ` · ${one.named}` : "") : "no alarm";
    line.textContent = `${one.name} · ${answer}`;
    line.classList.toggle("now", number === at);
    line.classList.toggle("passed", Boolean(one.passed));
    line.classList.toggle("decided", Boolean(one.decision));
    line.classList.toggle("alarms", Boolean(one.alarms) && one.decision === "sound");
    line.onclick = () => go(number);
    return line;
  }));
  const current = $("list").children[at];
  if (current) current.scrollIntoView({block: "nearest"});
  draw();
}

async function draw() {
  const now = item();
  if (!now) {
    $("title").textContent = "There is no image to show.";
    return;
  }
  const limit = now.threshold ? ` (threshold ${now.threshold.toPrecision(4)}${state.products ? `, ${now.of}` : ""})` : "";
  const where = (now.product ? ` · ${now.product}` : "")
    + (now.box ? ` · alarm at x ${now.box[0]}, y ${now.box[1]} · score ${now.score.toPrecision(4)}${limit}` : " · no alarm");
  $("undo-this").hidden = !now.entry;
  $("question").hidden = !now.box || Boolean(now.decision);
  $("named").textContent = !now.named ? "" : `the model says ${now.named}: ${now.reason}`
    + ` (log odds of a defect ${now.likeness.toPrecision(3)})` + (now.passed ? "; it does not alarm" : "");
  $("title").textContent = `${now.name}${where}` + (now.decision ? `, decided: ${now.decision} ${now.impurity}` : "");
  try {
    const version = encodeURIComponent(state.active);
    const [photograph, map] = await Promise.all(
      [picture(`/photograph/${now.image}`), picture(`/map/${now.image}?v=${version}-${state.thresholds}`)]);
    if (now !== item()) return;
    whole(photograph, now);
    closeUp($("near"), photograph, now);
    closeUp($("heat"), map, now);
    nearest(now);
  } catch (error) {
    say("the picture cannot be shown: its file may be gone or another one", true);
  }
}

function whole(photograph, now) {
  const canvas = $("photograph"), pen = canvas.getContext("2d");
  canvas.width = photograph.naturalWidth;
  canvas.height = photograph.naturalHeight;
  pen.drawImage(photograph, 0, 0);
  const scale = canvas.width / now.size[1];
  pen.lineWidth = Math.max(1.5, canvas.width / 500);
  for (const [box, colour] of [[now.box, "#e6302c"], [drawn, "#2668ff"]]) {
    if (!box) continue;
    pen.strokeStyle = colour;
    pen.strokeRect(box[0] * scale - 2, box[1] * scale - 2, box[2] * scale + 4, box[3] * scale + 4);
  }
}

function closeUp(canvas, source, now) {
  const [height, width] = now.size, box = drawn || now.box || [0, 0, width, height];
  const side = Math.max(box[2], box[3], 24) * 2, scale = source.naturalWidth / width;
  const x = box[0] + box[2] / 2 - side / 2, y = box[1] + box[3] / 2 - side / 2, pen = canvas.getContext("2d");
  canvas.width = canvas.height = NEAR;
  pen.imageSmoothingEnabled = false;
  pen.drawImage(source, x * scale, y * scale, side * scale, side * scale, 0, 0, NEAR, NEAR);
  pen.strokeStyle = "#e6302c";
  const factor = NEAR / side;
  pen.strokeRect((box[0] - x) * factor, (box[1] - y) * factor, box[2] * factor, box[3] * factor);
}

async function nearest(now) {
  const shown = $("nearest"), words = $("nearest-words");
  shown.removeAttribute("src");
  words.textContent = "nearest remembered patch";
  if (!now.box) return;
  const middle = [Math.floor(now.box[0] + now.box[2] / 2), Math.floor(now.box[1] + now.box[3] / 2)];
  const [x, y] = now.peak || middle;
  const answer = await fetch(`/nearest/${now.image}/${x}/${y}`);
  if (now !== item() || !answer.ok) return;
  if (answer.headers.get("content-type").startsWith("image/")) {
    if (shown.dataset.address) URL.revokeObjectURL(shown.dataset.address);
    shown.dataset.address = shown.src = URL.createObjectURL(await answer.blob());
    words.textContent = `nearest remembered patch, ${answer.headers.get("x-words")}`;
  } else {
    words.textContent = `nearest remembered patch, ${(await answer.json()).words}`;
  }
}

function go(number) {
  at = Math.max(0, Math.min(number, state.items.length - 1));
  drawn = null;
  show();
}

async function send(address, asked) {
  if (busy || !state) return;
  busy = true;
  document.body.classList.add("busy");
  say("…");
  try {
    const answer = await fetch(address, {
      method: "POST", headers: {"content-type": "application/json", "x-review-token": token},
      body: JSON.stringify({...asked, who: $("who").value}),
    });
    const found = await answer.json();
    if (!answer.ok) {
      say(found.error || "the decision was not kept", true);
    } else if (found.confirm) {
      waiting = [address, {...asked, confirm: true}];
      ask("With this the model would no longer find:", found.confirm);
    } else if (found.conflict) {
      const other = found.conflict;
      waiting = [address, {...asked, over: other.id}];
      ask(`${other.who} has decided here already: ${other.decision} ${other.impurity}. Overrule it?`, []);
    } else {
      say(`${found.message} (${found.seconds.toFixed(1)} s)`);
      drawn = null;
    }
    if (found.state) {
      state = found.state;
      at = Math.min(at, Math.max(0, (state.left || state.items.length) - 1));
      show();
    }
  } catch (error) {
    say("no answer: is the program still running?", true);
  } finally {
    busy = false;
    document.body.classList.remove("busy");
  }
}

function ask(words, lines) {
  $("confirm-words").textContent = words;
  $("confirm-list").replaceChildren(...lines.map((text) => {
    const line = document.createElement("li");
    line.textContent = text;
    return line;
  }));
  $("confirm").showModal();
}

function confirmed(yes) {
  const [address, asked] = waiting || [];
  waiting = null;
  $("confirm").close();
  if (yes && address) send(address, asked);
  else say("left as it was");
}

function decide(decision, impurity = "") {
  const now = item();
  if (!now) return;
  const asked = {image: now.image, box: now.box, decision, impurity};
  if (now.entry) asked.over = now.entry;
  send("/decide", asked);
}

function undoThis() {
  const now = item();
  if (now && now.entry) send("/undo", {of: now.entry});
}

function mark() {
  const now = item();
  if (!now) return;
  const [height, width] = now.size, side = Math.max(4, Math.round(Math.min(height, width) / 5));
  drawn = [Math.round((width - side) / 2), Math.round((height - side) / 2), side, side];
  say("move the box by the arrows, + and - change its size, Enter keeps it, Escape drops it; or drag another");
  draw();
}

function keepMark() {
  if (drawn) send("/decide", {image: item().image, box: drawn, decision: "missed"});
}

function moveMark(dx, dy, grow) {
  const [height, width] = item().size;
  let [x, y, w, h] = drawn;
  w = Math.max(2, Math.min(width, w + 2 * grow));
  h = Math.max(2, Math.min(height, h + 2 * grow));
  x = Math.max(0, Math.min(width - w, x + dx - grow));
  y = Math.max(0, Math.min(height - h, y + dy - grow));
  drawn = [x, y, w, h];
  draw();
}

function pointed(event) {
  const canvas = $("photograph"), place = canvas.getBoundingClientRect(), [height, width] = item().size;
  const x = (event.clientX - place.left) / place.width * width, y = (event.clientY - place.top) / place.height * height;
  return [Math.max(0, Math.min(width - 1, Math.floor(x))), Math.max(0, Math.min(height - 1, Math.floor(y)))];
}

let from = null;
$("photograph").onpointerdown = (event) => {
  if (!item()) return;
  from = pointed(event);
  $("photograph").setPointerCapture(event.pointerId);
};
$("photograph").onpointermove = (event) => {
  if (!from) return;
  const to = pointed(event);
  drawn = [Math.min(from[0], to[0]), Math.min(from[1], to[1]), Math.abs(to[0] - from[0]) + 1,
    Math.abs(to[1] - from[1]) + 1];
  draw();
};
$("photograph").onpointerup = () => {
  if (from && drawn && drawn[2] >= 3 && drawn[3] >= 3) say("Enter keeps the box as a missed defect, Escape drops it");
  from = null;
};

document.onkeydown = (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.id === "who") return;
  const key = event.key;
  if ($("confirm").open) {
    if (key === "y" || key === "n") { event.preventDefault(); confirmed(key === "y"); }
    return;
  }
  const step = event.shiftKey ? 10 : 2;
  const moves = {ArrowLeft: [-step, 0, 0], ArrowRight: [step, 0, 0], ArrowUp: [0, -step, 0], ArrowDown: [0, step, 0],
    "+": [0, 0, 1], "-": [0, 0, -1]};
  const dirt = [...document.querySelectorAll("button[data-impurity]")].map((button) => button.dataset.impurity);
  if (drawn && moves[key]) moveMark(...moves[key]);
  else if (drawn && key === "Enter") keepMark();
  else if (drawn && key === "Escape") { drawn = null; say(""); draw(); }
  else if (event.repeat) return;  // a key that is held down is one answer
  else if (key === "s") decide("sound");
  else if (key === "d") decide("defect");
  else if (key === " ") decide("skip");
  else if (key === "m") mark();
  else if (key === "u") send("/undo", {});
  else if (key === "x") undoThis();
  else if (dirt[Number(key) - 1]) decide("dirt", dirt[Number(key) - 1]);
  else if (key === "ArrowRight" || key === "j") go(at + 1);
  else if (key === "ArrowLeft" || key === "k") go(at - 1);
  else return;
  event.preventDefault();
};
for (const button of document.querySelectorAll("button[data-decision]")) {
  button.onclick = () => { button.blur(); decide(button.dataset.decision, button.dataset.impurity); };
}
$("missed").onclick = () => { $("missed").blur(); if (drawn) keepMark(); else mark(); };
$("undo").onclick = () => { $("undo").blur(); send("/undo", {}); };
$("undo-this").onclick = () => { $("undo-this").blur(); undoThis(); };
$("yes").onclick = () => confirmed(true);
$("no").onclick = () => confirmed(false);
$("confirm").oncancel = () => { waiting = null; };

if (location.search) history.replaceState(null, "", "/");
fetch("/state").then((answer) => answer.json()).then((found) => {
  if (found.error) { say(found.error, true); return; }
  state = found;
  if (state.unreadable.length) say(`left out: ${state.unreadable.join("; ")}`, true);
  show();
}).catch(() => say("no answer: is the program still running?", true));
