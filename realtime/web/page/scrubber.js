// A session that is over, on the same page: what it said, up to a moment that one can move.

import { minutes } from "/draw.js";
import { empty, take } from "/session.js";

export function scrub(page, recorded, clock) {
  const place = document.getElementById("place");
  const play = document.getElementById("play");
  const pace = document.getElementById("pace");
  const { entries, details } = recorded;
  let taken = 0;
  let timer = 0;

  document.getElementById("controls").hidden = true;
  document.querySelector(".signal").closest(".card").hidden = true; // which no log holds
  document.querySelector(".frame").classList.add("pair"); // what was shown stands beside it
  document.getElementById("scrubber").hidden = false;
  place.max = entries.length;

  function restart() {
    page.session = empty();
    page.session.state = "recorded";
    page.session.details = details;
    taken = 0;
  }

  function go(to) {
    if (to < taken) restart();
    let picture = null;
    for (; taken < to; taken += 1) {
      const entry = entries[taken];
      take(page.session, entry, clock());
      if (entry.topic === "frame" && page.session.picture?.trial === entry.message.trial) picture = entry.message;
    }
    if (picture !== null) page.show(picture.url);
    place.value = taken;
    document.getElementById("time").textContent = minutes(taken ? entries[taken - 1].at : 0);
    page.changed();
  }

  function stop() {
    clearTimeout(timer);
    timer = 0;
    play.textContent = "▶";
    play.ariaLabel = "Play";
  }

  function step() {
    go(taken + 1);
    if (taken >= entries.length) {
      stop();
      return;
    }
    const wait = taken ? entries[taken].at - entries[taken - 1].at : 0;
    timer = setTimeout(step, (1000 * Math.min(Math.max(wait, 0), 5)) / Number(pace.value));
  }

  place.oninput = () => {
    stop();
    go(Number(place.value));
  };
  play.onclick = () => {
    if (timer) {
      stop();
      return;
    }
    if (taken >= entries.length) go(0);
    play.textContent = "❚❚";
    play.ariaLabel = "Pause";
    step();
  };
  restart();
  go(entries.length);
}
