// What is known of a session, from what it said: one word at a time, live or from a log.

const RECENT = 100;
const KEPT_NOTICES = 200;
export const DELAYS = [
  ["last sample to arrival", "last_sample", "arrived"],
  ["arrival to embedding", "arrived", "embedding"],
  ["embedding to first picture", "embedding", "first_picture"],
  ["embedding to final picture", "embedding", "final_picture"],
  ["final picture to screen", "final_picture", "shown"],
];

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

export function empty() {
  return {
    state: null,        // "running", "paused", ...
    details: {},
    percepts: new Map(), // by trial, in the order in which they came
    picture: null,      // {trial, step, of, glides}: what is on the page
    quality: {},
    data: null,         // {age, since}: age of the newest sample in s, and when that was told
    counts: { refused: 0, retracted: 0, gaps: 0, lost: 0, untold: 0 },
    notices: [],
    trial: null,        // whose evidence stands beside the picture
  };
}

export function take(session, { topic, message }, now) {
  if (topic === "state") {
    if (message.state === "starting") Object.assign(session, empty());
    // The farewell says nothing new of a session that had ended: how it ended stays.
    const ended = message.state === "offline" && (session.state === "stopped" || session.state === "failed");
    if (!ended) session.state = String(message.state);
    session.details = { ...session.details, ...message.details };
  } else if (topic === "frame") {
    takePicture(session, message);
  } else if (topic === "event") {
    (KINDS[message.kind] ?? (() => {}))(session, message.data ?? message, message, now);
  }
}

function takePicture(session, label) {
  // A percept that is too weak to be painted is on the page at once: no older picture may come after it.
  if (session.trial !== null && label.trial < session.trial) {
    addTimes(session, label.trial, label.ledger);
    return;
  }
  session.picture = { trial: label.trial, step: label.step, of: label.of, glides: label.origin?.kind === "glide" };
  addTimes(session, label.trial, label.ledger);
  session.trial = label.trial;
}

function addTimes(session, trial, times) {
  const percept = session.percepts.get(trial);
  if (percept && times) Object.assign(percept.ledger, times);
}

const KINDS = {
  percept(session, percept) {
    session.percepts.set(percept.trial, { ...percept, ledger: { ...percept.ledger } });
    // A percept whose picture is asked for waits for it, so that no picture stands beside another one's evidence.
    if (!("requested" in percept.ledger)) session.trial = percept.trial;
  },
  ledger: (session, data) => addTimes(session, data.trial, data.stages),
  quality: (session, data) => { session.quality = data; },
  data(session, data, message, now) {
    session.data = { age: message.t_lsl - data.stamp, since: now };
  },
  control: (session, data) => { session.counts.untold = data.dropped; },
  refused(session, data, message) {
    session.counts.refused += 1;
    note(session, message, `trial ${data.trial} has no percept: ${data.reason}`);
  },
  retracted(session, data, message) {
    session.counts.retracted += 1;
    session.percepts.delete(data.trial);
    note(session, message, `trial ${data.trial} is taken back: ${data.reason}`);
  },
  hole(session, data, message) {
    session.counts.gaps += 1;
    session.counts.lost += data.lost;
    note(session, message, `${data.lost} samples lost`, true);
  },
  recount(session, data, message) {
    session.counts.lost += data.lost;
    note(session, message, `${Math.abs(data.lost)} samples ${data.lost > 0 ? "more" : "fewer"} lost than was said`, true);
  },
  fault: (session, data, message) => note(session, message, data.text, true),
  notice: (session, data, message) => note(session, message, data.text, true),
  note: (session, data, message) => note(session, message, `note: ${data.text}`),
  show: (session, data, message) => note(session, message, `asked for ${data.picture}`),
};

function note(session, message, text, bad = false) {
  session.notices.unshift({ at: message.t_unix, since: message.since, text, bad });
  session.notices.length = Math.min(session.notices.length, KEPT_NOTICES);
}

export function current(session) {
  return session.percepts.get(session.trial) ?? null;
}

export function newest(session) {
  return [...session.percepts.values()].at(-1) ?? null;
}

export function withheld(session, percept) {
  const least = session.details.abstain_below ?? 0;
  return percept !== null && isNumber(percept.confidence) && percept.confidence < least;
}

export function chance(session) {
  return session.details.candidates ? 1 / session.details.candidates : null;
}

// Mean two-way identification over the pictures so far, each with all its repeats: one point a percept.
export function twoWay(session) {
  const lines = { true: [], before: [] };
  const sums = { true: new Mean(), before: new Mean() };
  let place = 0;
  for (const percept of session.percepts.values()) {
    place += 1;
    if (percept.picture === null) continue;
    for (const [name, value] of [["true", percept.two_way], ["before", percept.pre_stimulus_two_way]]) {
      sums[name].set(percept.picture, value);
      if (sums[name].value !== null) lines[name].push([place, sums[name].value]);
    }
  }
  return lines;
}

class Mean {
  #values = new Map();
  #sum = 0;

  set(key, value) {
    if (this.#values.has(key)) this.#sum -= this.#values.get(key);
    this.#values.delete(key);
    if (isNumber(value)) {
      this.#values.set(key, value);
      this.#sum += value;
    }
  }

  get value() {
    return this.#values.size ? this.#sum / this.#values.size : null;
  }
}

// Confidence over the repeats of a percept's picture: [repeats, confidence].
export function evidence(session, percept) {
  if (percept === null) return [];
  const same = percept.picture === null ? [percept]
    : [...session.percepts.values()].filter((one) => one.picture === percept.picture && one.trial <= percept.trial);
  return same.filter((one) => isNumber(one.confidence)).map((one) => [one.repeats, one.confidence]);
}

// Seconds of each stage: of this percept, and the median of recent ones.
export function delays(session, percept) {
  const recent = [...session.percepts.values()].slice(-RECENT);
  return DELAYS.map(([name, start, stop]) => {
    const took = (one) => one !== null && isNumber(one.ledger[start]) && isNumber(one.ledger[stop])
      ? one.ledger[stop] - one.ledger[start] : null;
    const known = recent.map(took).filter((one) => one !== null).sort((a, b) => a - b);
    const middle = known.length >> 1;
    const median = known.length === 0 ? null : known.length % 2 ? known[middle] : (known[middle - 1] + known[middle]) / 2;
    return { name, this: took(percept), median };
  });
}
