// The page as a function of the session: all text goes in as text, never as markup.

import * as known from "/session.js";

const SVG = "http://www.w3.org/2000/svg";
const DATA_EVERY_S = 1.0; // how often a session tells how old its data are
const LATE_S = 1.0;
const find = (id) => document.getElementById(id);
const isNumber = (value) => typeof value === "number" && Number.isFinite(value);
const percent = (value) => (isNumber(value) ? `${Math.round(100 * value)}%` : "n/a");

function chanceText(value) {
  return value < 0.01 ? `${(100 * value).toFixed(1)}%` : percent(value);
}

export function seconds(value) {
  if (!isNumber(value)) return "–";
  const ms = 1000 * value;
  if (Math.abs(ms) < 10) return `${ms.toFixed(2)} ms`;
  return Math.abs(ms) < 10_000 ? `${Math.round(ms)} ms` : `${value.toFixed(1)} s`;
}

export function minutes(value) {
  return isNumber(value) ? `${Math.floor(value / 60)}:${(value % 60).toFixed(1).padStart(4, "0")}` : "";
}

function set(id, text) {
  const element = find(id);
  if (element.textContent !== text) element.textContent = text;
}

function element(name, classes = "", text = null, more = {}) {
  const made = document.createElement(name);
  if (classes) made.className = classes;
  if (text !== null) made.textContent = text;
  return Object.assign(made, more);
}

function shape(name, attributes, text = null) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== null) made.textContent = text;
  return made;
}

export function draw(session, electrodes) {
  const percept = known.current(session);
  set("name", session.details.name ?? "Perceptogram Live");
  document.title = `${find("name").textContent} – Perceptogram Live`;
  find("simulated").hidden = !session.details.simulated;
  seen(session, percept);
  const lines = known.twoWay(session);
  for (const [id, line] of [["two-way", lines.true], ["pre-stimulus", lines.before]]) {
    set(id, line.length ? percent(line.at(-1)[1]) : "–");
    find(id).dataset.value = line.length ? line.at(-1)[1] : "";
  }
  chart(find("two-way-lines"), [["true", lines.true], ["before", lines.before]], 0.5, "percepts");
  const chance = known.chance(session);
  const label = chance === null ? "" : `chance ${chanceText(chance)}`;
  chart(find("evidence-lines"), [["true", known.evidence(session, percept)]], chance, "repeats", label, true);
  nearest(percept);
  signal(session.quality, electrodes);
  delayTable(session, percept);
  set("percepts", String(session.percepts.size));
  for (const [id, count] of Object.entries(session.counts)) set(id, String(count));
  notices(session.notices);
}

export function drawState(session, link, now) {
  const state = find("state");
  const words = { running: "good", paused: "fair", starting: "fair", stopped: "", offline: "bad", failed: "bad", recorded: "" };
  // A session that said how it ended has left: nothing is wrong with the connection.
  const left = link === null ? undefined : { stopped: "session over", failed: "session failed" }[session.state];
  set("state", left ?? link ?? session.state ?? "no session yet");
  state.className = `status ${link === null || left ? words[session.state] ?? "" : "bad"}`;
  const age = find("age");
  age.hidden = session.state === "recorded";
  const live = session.state === "running" || session.state === "paused";
  if (session.data === null || !live) {
    set("age", "no data");
    age.className = "status";
    return;
  }
  const since = now - session.data.since;
  const late = since > DATA_EVERY_S + LATE_S;
  set("age", late ? `no data for ${(session.data.age + since).toFixed(1)} s` : `data ${seconds(Math.max(0, session.data.age))} old`);
  age.className = late || session.data.age > (session.details.stall_s ?? 0.5) ? "status bad" : "status good";
}

function seen(session, percept) {
  const picture = session.picture !== null && percept !== null && session.picture.trial === percept.trial ? session.picture : null;
  const abstains = known.withheld(session, percept);
  find("picture").hidden = session.picture === null;
  document.querySelector(".frame").classList.toggle("withheld", abstains);
  const [headline, line] = find("veil").children;
  find("veil").hidden = session.picture !== null && !abstains;
  headline.textContent = abstains ? "not enough evidence" : percept === null ? "waiting for the first percept" : "no picture was painted";
  line.textContent = abstains ? `confidence ${percent(percept.confidence)}, a picture is shown from ${percent(session.details.abstain_below)}` : "";
  set("trial", percept === null ? "" : `trial ${percept.trial}`);
  find("trial").dataset.value = percept === null ? "" : percept.trial;
  const of = picture === null ? 0 : picture.of;
  find("steps").replaceChildren(...Array.from({ length: of }, (_, k) => element("i", k < picture.step ? "done" : "")));
  set("step", abstains ? "withheld" : picture === null ? "" : picture.glides ? "gliding" : picture.step === picture.of ? "final picture" : `preview ${picture.step} of ${picture.of}`);

  const chance = known.chance(session);
  set("confidence", percept === null ? "–" : percept.confidence === null ? "not calibrated" : percent(percept.confidence));
  find("confidence").dataset.value = percept?.confidence ?? "";
  set("chance", chance === null ? "" : `chance ${chanceText(chance)}, 1 of ${session.details.candidates}`);
  find("bar").style.width = `${100 * (percept?.confidence ?? 0)}%`;
  const mark = find("bar-chance");
  mark.hidden = chance === null;
  if (chance !== null) mark.style.left = `${100 * chance}%`;
  set("repeats", percept === null ? "–" : String(percept.repeats));
  set("shown", percept === null ? "–" : percept.picture ?? "not known");
}

function nearest(percept) {
  const rows = (percept?.neighbours ?? []).map((near) => {
    const row = element("li");
    const meter = element("div", "meter");
    const filled = element("i");
    filled.style.width = `${100 * Math.min(1, Math.max(0, near.similarity ?? 0))}%`;
    meter.append(filled);
    row.append(element("span", near.name === percept.picture ? "hit" : "", near.label, { title: near.name }));
    row.append(element("span", "value", isNumber(near.similarity) ? near.similarity.toFixed(2) : "n/a"), meter);
    return row;
  });
  find("nearest").replaceChildren(...rows);
}

// Lines of [x, value from 0 to 1] with their chance level.
function chart(svg, lines, chance, unit, label = "", dots = false) {
  const width = svg.clientWidth || 300;
  const height = svg.clientHeight || 150;
  const left = 44, right = width - 10, top = 8, bottom = height - 22;
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const all = lines.flatMap(([, points]) => points);
  const first = 1, last = Math.max(2, ...all.map(([x]) => x));
  const x = (value) => left + ((value - first) / (last - first)) * (right - left);
  const y = (value) => bottom - value * (bottom - top);
  const shapes = [0, 0.5, 1].flatMap((value) => [
    shape("line", { class: "rule", x1: left, x2: right, y1: y(value), y2: y(value) }),
    shape("text", { x: left - 8, y: y(value) + 4, "text-anchor": "end" }, percent(value)),
  ]);
  if (chance !== null) {
    shapes.push(shape("line", { class: "by-chance", x1: left, x2: right, y1: y(chance), y2: y(chance) }));
    shapes.push(shape("text", { x: left + 6, y: y(chance) - 6 }, label));
  }
  for (const at of all.length ? [first, last] : []) {
    shapes.push(shape("text", { x: x(at), y: height - 5, "text-anchor": at === first ? "start" : "end" }, at === last ? `${at} ${unit}` : String(at)));
  }
  for (const [name, points] of lines) {
    const path = points.map(([at, value], k) => `${k ? "L" : "M"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`).join("");
    if (path) shapes.push(shape("path", { class: name, d: path }));
    for (const [at, value] of dots ? points : points.slice(-1)) {
      shapes.push(shape("circle", { class: name, cx: x(at), cy: y(value), r: 3.5 }));
    }
  }
  svg.replaceChildren(...shapes);
}

const WORDS = [["good", "good"], ["fair", "doubtful"], ["bad", "bad"], ["unknown", "unknown"]];

function signal(quality, electrodes) {
  const of = (value) => (!isNumber(value) ? "unknown" : value >= 0.66 ? "good" : value >= 0.33 ? "fair" : "bad");
  const names = Object.keys(quality);
  // Plugs numbered A1 to A32: A1 and A2 of them are no earlobes.
  const plugs = names.some((name) => /^A([3-9]|[12]\d|3[0-2])$/i.test(name.trim()));
  const counts = {};
  const shapes = [
    shape("circle", { class: "outline", cx: -1, cy: 0, r: 0.13 }),
    shape("circle", { class: "outline", cx: 1, cy: 0, r: 0.13 }),
    shape("path", { class: "outline", d: "M-0.17 -0.97L0 -1.18L0.17 -0.97" }),
    shape("circle", { class: "outline", cx: 0, cy: 0, r: 1 }),
  ];
  for (const name of names) {
    const kind = of(quality[name]);
    counts[kind] = (counts[kind] ?? 0) + 1;
    const place = electrodes[name.trim().toUpperCase()];
    if (place === undefined || (plugs && /^A[12]$/i.test(name.trim()))) continue;
    const dot = shape("circle", { class: kind, cx: place[0], cy: -place[1], r: names.length <= 10 ? 0.085 : 0.055 });
    dot.append(shape("title", {}, `${name}: ${isNumber(quality[name]) ? quality[name].toFixed(2) : "not known"}`));
    shapes.push(dot);
  }
  find("head").replaceChildren(...shapes);
  const rows = WORDS.filter(([kind]) => counts[kind]).map(([kind, word]) => element("li", kind, `${counts[kind]} ${word}`));
  find("quality").replaceChildren(...(rows.length ? rows : [element("li", "unknown", "none yet")]));
}

function delayTable(session, percept) {
  const rows = known.delays(session, percept).map(({ name, this: own, median }) => {
    const row = element("tr");
    row.append(element("th", "", name, { scope: "row" }), element("td", "", seconds(own)), element("td", "", seconds(median)));
    return row;
  });
  find("delays").replaceChildren(...rows);
}

let told = null;

function notices(list) {
  if (told === list[0] && list.length) return;
  told = list[0];
  const rows = list.map(({ at, since, text, bad }) => {
    const row = element("li", bad ? "bad" : "");
    row.append(element("time", "", isNumber(at) ? new Date(1000 * at).toLocaleTimeString("en-GB") : minutes(since)), element("span", "", text));
    return row;
  });
  find("notices").replaceChildren(...(rows.length ? rows : [element("li", "none", "nothing to report")]));
}
