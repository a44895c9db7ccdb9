// Listens to a session, or reads one that is over, and asks what the buttons say.

import { draw, drawState } from "/draw.js";
import { empty, newest, take } from "/session.js";
import { steer } from "/steering.js";
import { scrub } from "/scrubber.js";

const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 8000;
const clock = () => performance.now() / 1000;

const page = {
  session: empty(),
  link: "connecting", // what is wrong with the connection; null where nothing is
  electrodes: {},
  asked: false,
};
globalThis.perceptogram = page; // to be looked at from the browser's console

page.changed = () => {
  if (page.asked) return;
  page.asked = true;
  requestAnimationFrame(() => {
    page.asked = false;
    draw(page.session, page.electrodes);
    drawState(page.session, page.link, clock());
  });
};

page.show = (source) => {
  const image = document.getElementById("picture");
  if (image.src.startsWith("blob:")) URL.revokeObjectURL(image.src);
  image.src = source;
};

function connect(controls, delayMs = FIRST_DELAY_MS) {
  const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/session`);
  socket.binaryType = "arraybuffer";
  socket.onopen = () => {
    page.session = empty(); // all that was said so far comes again
    page.link = null;
    delayMs = FIRST_DELAY_MS;
    controls.connected((command) => socket.send(JSON.stringify(command)));
    page.changed();
  };
  socket.onmessage = ({ data }) => {
    if (typeof data === "string") {
      for (const word of JSON.parse(data)) {
        take(page.session, word, clock());
        if (word.topic === "ack") controls.answered(word.message);
      }
    } else {
      const length = new DataView(data).getUint32(0);
      const label = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
      take(page.session, { topic: "frame", message: label }, clock());
      if (page.session.picture?.trial === label.trial) page.show(URL.createObjectURL(new Blob([new Uint8Array(data, 4 + length)], { type: "image/jpeg" })));
    }
    controls.update(page.session, newest(page.session));
    page.changed();
  };
  socket.onclose = () => {
    page.link = "not connected";
    controls.connected(null);
    page.changed();
    setTimeout(() => connect(controls, Math.min(2 * delayMs, LONGEST_DELAY_MS)), delayMs);
  };
}

page.electrodes = await (await fetch("/electrodes.json")).json();
const recorded = await fetch("/recorded.json");
if (recorded.ok) {
  page.link = null;
  scrub(page, await recorded.json(), clock);
} else {
  connect(steer());
  setInterval(() => drawState(page.session, page.link, clock()), 250);
}
addEventListener("resize", page.changed);
page.changed();
