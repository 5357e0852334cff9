// Keeps the page live: the coordinator says that something changed, the page is fetched again and its middle replaced.
// Without this script the page reloads by itself.
"use strict";

(() => {
  const sign = document.getElementById("live-sign");
  const pace = 2000;
  let waiting = false;
  let last = 0;

  async function refresh() {
    waiting = false;
    last = Date.now();
    try {
      const answer = await fetch(location.href, { cache: "no-store" });
      if (!answer.ok) throw new Error(String(answer.status));
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      const from = fresh.getElementById("live");
      const into = document.getElementById("live");
      for (const open of into.querySelectorAll("details[open][id]")) {
        fresh.getElementById(open.id)?.setAttribute("open", "");
      }
      if (from.innerHTML !== into.innerHTML) {
        const side = into.querySelector(".scroll")?.scrollLeft ?? 0;
        into.replaceChildren(...from.childNodes);
        const scroll = into.querySelector(".scroll");
        if (scroll) scroll.scrollLeft = side;
      }
      document.title = fresh.title;
      say("live", true);
    } catch {
      say("the coordinator does not answer", false);
    }
  }

  function soon() {
    if (waiting) return;
    waiting = true;
    setTimeout(refresh, Math.max(0, last + pace - Date.now()));
  }

  function say(text, isLive) {
    sign.textContent = text;
    sign.classList.toggle("on", isLive);
  }

  const country = sign.dataset.country;
  const stream = new EventSource("/api/v1/watch" + (country ? "?country=" + country : ""));
  stream.addEventListener("open", () => { say("live", true); soon(); });
  stream.addEventListener("matrix", soon);
  stream.addEventListener("incident", soon);
  stream.addEventListener("error", () => say("the coordinator does not answer", false));
})();
