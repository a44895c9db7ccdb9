// Shows pictures of the session's set, each in a frame of the screen, and hears what was decoded from each.
// ?pictures=20&repeats=2&on=100&every=400 : how many, how often each, and milliseconds on the screen and from one to
// the next.

import { nextFrame, openMarkers } from "/markers.js";

const asked = new URLSearchParams(location.search);
const number = (name, usual) => Number(asked.get(name) ?? usual);
const [count, repeats, onMs, everyMs] = [number("pictures", 20), number("repeats", 1), number("on", 100), number("every", 400)];
const LAST_WINDOW_MS = 2500; // after the last picture: its window, and the way of its percept
const MEASURED_FRAMES = 30;
const SIDE = 512;

const find = (id) => document.getElementById(id);
const canvas = find("screen");
const pen = canvas.getContext("2d", { alpha: false });
const experiment = { percepts: [], onsets: [], result: null, markers: null, state: "connecting" };
globalThis.experiment = experiment; // to be looked at from the browser's console

function say(state, text = state) {
  experiment.state = state;
  find("state").textContent = text;
}

function quantile(values, part) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted.length ? sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] : NaN;
}

function shuffled(list) {
  const mixed = [...list];
  for (let k = mixed.length - 1; k > 0; k -= 1) {
    const other = Math.floor(Math.random() * (k + 1));
    [mixed[k], mixed[other]] = [mixed[other], mixed[k]];
  }
  return mixed;
}

// As many pictures as are asked for, evenly taken from the set, each decoded before the first is shown.
async function load() {
  const names = (await (await fetch("/stimuli.json?split=test")).json()).map(({ name }) => name);
  const chosen = Array.from({ length: Math.min(count, names.length) }, (_, k) => names[Math.floor((k * names.length) / Math.min(count, names.length))]);
  return Promise.all(chosen.map(async (name) => {
    const answer = await fetch(`/stimuli/${encodeURIComponent(name)}`);
    return { name, bitmap: await createImageBitmap(await answer.blob()) };
  }));
}

// What the session says: percepts of what is shown from now on, by the session's clock.
function listen(clock) {
  const began = performance.now() / 1000 + clock.offset_s;
  const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/session`);
  socket.binaryType = "arraybuffer"; // the painted pictures, which this experiment leaves alone
  socket.onmessage = ({ data }) => {
    if (typeof data !== "string") return;
    for (const { topic, message } of JSON.parse(data)) {
      if (topic === "event" && message.kind === "percept" && message.ledger.onset > began) experiment.percepts.push(message);
    }
  };
}

function draw(bitmap) {
  const { width, height } = canvas;
  pen.fillStyle = "#808080";
  pen.fillRect(0, 0, width, height);
  if (bitmap !== null) pen.drawImage(bitmap, (width - SIDE) / 2, (height - SIDE) / 2, SIDE, SIDE);
  pen.fillStyle = bitmap === null ? "#000" : "#fff";
  pen.fillRect(0, height - 60, 60, 60); // for a photodiode, in the lower left corner
  pen.fillStyle = "#d22";
  pen.beginPath();
  pen.arc(width / 2, height / 2, 4, 0, 2 * Math.PI);
  pen.fill();
}

async function measureFrame() {
  const times = [];
  for (let k = 0; k <= MEASURED_FRAMES; k += 1) times.push(await nextFrame());
  return quantile(times.slice(1).map((time, k) => time - times[k]), 0.5);
}

async function run(pictures, frameMs) {
  const order = Array.from({ length: repeats }, () => shuffled(pictures)).flat();
  let now = await nextFrame();
  let due = now + 500;
  for (const { name, bitmap } of order) {
    while (now < due - frameMs / 2) now = await nextFrame();
    draw(bitmap);
    const onset = await nextFrame(); // the frame that was drawn is out
    experiment.markers.mark(name, onset, { trial: experiment.onsets.length });
    experiment.onsets.push({ name, onset, late: onset - frameMs - due });
    now = onset;
    while (now < onset + onMs - 1.5 * frameMs) now = await nextFrame();
    draw(null);
    due = onset - frameMs + everyMs;
  }
}

function sum(values) {
  return values.reduce((total, value) => total + value, 0);
}

function tell(frameMs) {
  const { clock, refused } = experiment.markers;
  const late = experiment.onsets.map((one) => Math.abs(one.late));
  const newest = new Map(experiment.percepts.map((percept) => [percept.picture, percept]));
  const scores = [...newest.values()].map(({ two_way }) => two_way).filter((value) => value !== null);
  experiment.result = {
    shown: experiment.onsets.length,
    percepts: experiment.percepts.length,
    refused: refused.length,
    frame_ms: frameMs,
    late_ms_p50: quantile(late, 0.5),
    late_ms_p99: quantile(late, 0.99),
    two_way: scores.length ? sum(scores) / scores.length : null,
    clock,
  };
  const ms = (seconds) => `${(1000 * seconds).toFixed(2)} ms`;
  const rows = [
    ["shown", experiment.result.shown],
    ["percepts", experiment.result.percepts],
    ["two-way", `${scores.length ? Math.round((100 * sum(scores)) / scores.length) : "–"}% (chance 50%)`],
    ["frame", `${frameMs.toFixed(2)} ms`],
    ["late, p50 and p99", `${experiment.result.late_ms_p50.toFixed(1)}, ${experiment.result.late_ms_p99.toFixed(1)} ms`],
    ["clock", `off by ${clock.offset_s.toFixed(4)} s, known to ${ms(clock.round_trip_s / 2)}, jitter ${ms(clock.jitter_s)}`],
    ...refused.slice(0, 3).map((why) => ["refused", why]),
  ];
  find("result").replaceChildren(...rows.flatMap(([name, value]) => {
    const [term, told] = [document.createElement("dt"), document.createElement("dd")];
    [term.textContent, told.textContent] = [name, value];
    return [term, told];
  }));
  find("percepts").replaceChildren(...[...newest.values()].map(({ picture, confidence, neighbours }) => {
    const row = document.createElement("li");
    const sure = confidence === null ? "" : ` (${Math.round(100 * confidence)}%)`;
    row.textContent = `${picture}: ${neighbours[0].label}${sure}`;
    row.className = neighbours[0].name === picture ? "right" : "";
    return row;
  }));
}

async function begin(pictures) {
  find("words").hidden = true;
  const density = devicePixelRatio;
  [canvas.width, canvas.height] = [innerWidth * density, innerHeight * density];
  draw(null);
  const frameMs = await measureFrame();
  say("running");
  await run(pictures, frameMs);
  await new Promise((later) => setTimeout(later, LAST_WINDOW_MS));
  tell(frameMs);
  find("words").hidden = false;
  find("start").hidden = true;
  say("over", experiment.markers.lost ? "the session was lost" : "thank you");
}

try {
  const [pictures, markers] = await Promise.all([load(), openMarkers()]);
  experiment.markers = markers;
  listen(markers.clock);
  say("ready", `${pictures.length} pictures, ${repeats} × each`);
  find("start").disabled = false;
  find("start").onclick = () => begin(pictures);
} catch (error) {
  say("failed", error.message);
}
