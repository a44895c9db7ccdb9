// For experiments in the browser: markers for the session, stamped by this page's clock, which the session aligns with
// its own by pings.

const FIRST_WORD_MS = 10_000;

// Connect, and return when the clocks are aligned.
export function openMarkers(host = location.host) {
  const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${host}/markers`);
  const markers = {
    clock: null, // {offset_s, round_trip_s, jitter_s}: what the session knows of this page's clock
    refused: [], // why markers were not taken
    lost: false, // whether the connection has ended

    // Tell that a picture came, or anything else, at a time as performance.now() tells it.
    mark(picture, at, { kind = "picture", ...fields } = {}) {
      socket.send(JSON.stringify({ kind, ...(picture === null ? {} : { picture }), at, fields }));
    },

    close() {
      socket.close();
    },
  };
  return new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error("the session did not align its clock")), FIRST_WORD_MS);
    socket.onmessage = ({ data }) => {
      const now = performance.now();
      const { ping, clock, error } = JSON.parse(data);
      if (ping !== undefined) socket.send(JSON.stringify({ pong: ping, now }));
      if (error !== undefined) markers.refused.push(error);
      if (clock !== undefined) {
        markers.clock = clock;
        resolve(markers);
      }
    };
    socket.onclose = () => {
      markers.lost = true;
      reject(new Error("no session takes markers here"));
    };
  });
}

// Return when the next frame begins, as performance.now() tells it. What is drawn then is on the screen when the frame
// after it begins, or a constant time later that a photodiode tells.
export function nextFrame() {
  return new Promise((begin) => requestAnimationFrame(begin));
}
