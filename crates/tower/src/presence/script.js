// Says that this page is there. Served by Visitlog; see docs/presence.md.
(() => {
  const doc = document, page = window;
  // A frame is a part of a page.
  if (page !== page.top) return;
  const beatUrl = new URL("beat", doc.currentScript.src);
  const tab = Math.random() * 0x1000000 | 0;
  let count = 0, every = 30, timer, gone = false, sentAt = 0, sentFor;

  const where = () => (location.pathname + location.search).slice(0, 500);
  const url = (sign) => {
    count = count + 1 & 255;
    beatUrl.search = new URLSearchParams({ i: tab, n: count, s: sign, p: sentFor = where(), t: doc.title.slice(0, 200) });
    return beatUrl;
  };
  const later = (seconds) => {
    clearTimeout(timer);
    timer = setTimeout(beat, seconds * 1000);
  };
  const beat = () => {
    if (gone) return;
    sentAt = Date.now();
    // Whatever becomes of this one.
    later(every);
    fetch(url(doc.hidden ? "h" : "v"), { method: "POST", keepalive: true }).then((answer) => {
      const next = +answer.headers.get("next-beat");
      // Nobody listens any more: until the next page.
      if (answer.status == 404 || answer.status == 405) gone = true;
      else if (next && !gone) later(every = next);
    }, () => {});
  };
  // After sleep, timers have stood still.
  const wake = () => Date.now() - sentAt > every * 1000 && beat();
  const start = () => {
    beat();
    doc.addEventListener("visibilitychange", beat);
    doc.addEventListener("resume", wake);
    page.addEventListener("focus", wake);
    page.addEventListener("online", wake);
    page.addEventListener("pagehide", () => {
      if (gone) return;
      navigator.sendBeacon(url("l"));
      gone = true;
      clearTimeout(timer);
    });
    // From the back/forward cache.
    page.addEventListener("pageshow", (event) => {
      if (!event.persisted) return;
      gone = false;
      beat();
    });
    // Pages that change without being loaded.
    page.navigation?.addEventListener("navigatesuccess", () => where() != sentFor && later(1));
  };
  // Nobody sees a page that is made ahead.
  if (doc.prerendering) doc.addEventListener("prerenderingchange", start, { once: true });
  else start();
})();
