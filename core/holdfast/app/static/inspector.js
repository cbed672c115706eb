// Search as you type; "/" goes to the search. Pages work without this script.
"use strict";

const form = document.querySelector("form[data-live]");
const field = form && form.querySelector("input[type=search]");

if (form) {
  const rows = document.getElementById(form.dataset.live);
  let waiting, asking;

  const address = (part) => {
    const query = new URLSearchParams(new FormData(form));
    if (!query.get("q")) query.delete("q");
    if (part) query.set("part", "1");
    return `${form.getAttribute("action")}?${query}`;
  };

  const ask = async () => {
    if (asking) asking.abort();
    const mine = (asking = new AbortController());
    try {
      const answer = await fetch(address(true), { signal: mine.signal });
      if (answer.redirected || !answer.ok) return location.assign(address(false)); // the page says why
      rows.innerHTML = await answer.text(); // escaped on the server, as the page is
      history.replaceState(null, "", address(false));
    } catch (error) {
      if (error.name !== "AbortError") throw error;
    }
  };

  field.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(ask, 150);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    clearTimeout(waiting);
    ask();
  });
}

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, textarea, select");
  if (event.key === "/" && field && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    field.focus();
    field.select();
  }
});
