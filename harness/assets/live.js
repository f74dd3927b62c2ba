// Asks the server of a running sale for the page again and puts it in place of this one. Where there is no answer any more, what was served
// last stays and says so.
(() => {
  "use strict";
  const pause = 2_000;
  const state = (text) => {
    const place = document.getElementById("live-state");
    if (place) place.textContent = text;
  };
  const put = (page) => {
    const opened = [...document.querySelectorAll("details[open] > summary")].map((summary) => summary.textContent);
    const scrolled = scrollY;
    document.querySelector("main").replaceWith(page.querySelector("main"));
    document.getElementById("charts").textContent = page.getElementById("charts")?.textContent ?? document.getElementById("charts").textContent;
    document.querySelectorAll("details").forEach((details) => {
      details.open ||= opened.includes(details.querySelector("summary").textContent);
    });
    document.title = page.title;
    document.dispatchEvent(new Event("holdfast:data"));
    scrollTo(0, scrolled);
  };
  const look = async () => {
    let page;
    try {
      const answer = await fetch(location.pathname, { cache: "no-store" });
      page = new DOMParser().parseFromString(await answer.text(), "text/html");
    } catch {
      state("No longer live: the run is over or was ended. Its report is in the folder that its program named.");
      return;
    }
    put(page);
    // The report of the run that has ended is the last page.
    if (page.documentElement.hasAttribute("data-live")) setTimeout(look, pause);
  };
  state("Asked again every " + pause / 1_000 + " s.");
  setTimeout(look, pause);
})();
