// The buttons: each asks for one thing, asks again under the same id where no answer comes, and tells the answer.

const PATIENCE_MS = 2000;
const TRIES = 3;
const SURE_MS = 3000;

export function steer() {
  const pause = document.getElementById("pause");
  const repeat = document.getElementById("repeat");
  const end = document.getElementById("end");
  const answer = document.getElementById("answer");
  const page = Array.from(crypto.getRandomValues(new Uint8Array(6)), (byte) => byte.toString(16).padStart(2, "0")).join("");
  const open = new Map(); // by id: {what, timer}
  let send = null;
  let number = 0;
  let picture = null;
  let state = null;

  function tell(text, bad = false) {
    answer.textContent = text;
    answer.className = bad ? "bad" : "";
  }

  function ask(what, command, args = {}) {
    number += 1;
    const request = { id: `${page}-${number}`, command, args };
    const entry = { what, tries: 0, timer: 0 };
    open.set(request.id, entry);
    const go = () => {
      if (send === null || entry.tries === TRIES) {
        open.delete(request.id);
        tell(`${what}: no answer`, true);
        return;
      }
      entry.tries += 1;
      send(request);
      entry.timer = setTimeout(go, PATIENCE_MS);
    };
    tell(`${what} …`);
    go();
  }

  function update() {
    const live = send !== null && (state === "running" || state === "paused");
    pause.textContent = state === "paused" ? "Resume" : "Pause";
    pause.disabled = end.disabled = !live;
    repeat.disabled = !live || picture === null;
  }

  pause.onclick = () => (state === "paused" ? ask("resume", "resume") : ask("pause", "pause"));
  repeat.onclick = () => ask(`repeat ${picture}`, "show", { picture });
  end.onclick = () => {
    if (end.classList.toggle("sure")) {
      end.textContent = "End?";
      setTimeout(() => {
        end.classList.remove("sure");
        end.textContent = "End";
      }, SURE_MS);
    } else {
      end.textContent = "End";
      ask("end", "stop");
    }
  };
  update();

  return {
    connected(how) {
      send = how;
      update();
    },
    update(session, percept) {
      state = session.state;
      picture = percept?.picture ?? null;
      update();
    },
    answered({ id, ok, error }) {
      const entry = open.get(id);
      if (entry === undefined) return; // another page's
      clearTimeout(entry.timer);
      open.delete(id);
      tell(ok ? `${entry.what}: done` : `${entry.what}: ${error}`, !ok);
    },
  };
}
