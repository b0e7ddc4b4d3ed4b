/* Shows the results of a choice as soon as it changes. Without this script the form's button does.
   1. The page itself is asked for, at the address that the button would lead to; only its results are put in.
   2. What fails changes nothing: the button is still there.
   3. The focus stays where it is, and what came of the choice is said to those who hear the page. */
"use strict";

{
  const PAUSE = 600, SILENCE = 100; // milliseconds
  const PARTS = [".picked", ".languages", ".programs", ".afresh", ".choose summary"];
  const form = document.querySelector("form.choose");
  const told = document.getElementById("picked");
  let typing = 0, speaking = 0, asking = new AbortController(), shown = "";

  const address = () => {
    const url = new URL(form.action);
    url.hash = "";
    url.search = new URLSearchParams([...new FormData(form)].filter(([, value]) => value.trim()));
    return url.href;
  };

  /* Emptied first: a reader that hears the page is told again only of a text that changes. */
  const tell = (words) => {
    clearTimeout(speaking);
    told.textContent = "";
    speaking = setTimeout(() => { told.textContent = words; }, SILENCE);
  };

  const put = (page) => {
    const held = document.activeElement;
    for (const part of PARTS) {
      const here = document.querySelector(part), there = page.querySelector(part);
      if (here && there) here.replaceChildren(...there.childNodes);
    }
    if (held.isConnected) return;
    const same = held.id ? document.getElementById(held.id) : [...document.links].find((one) => one.href === held.href);
    (same || document.querySelector(".picked")).focus({ preventScroll: true });
  };

  /* What is wrong stands with the results: above the form it would push away what somebody is about to press. */
  const blame = (page) => {
    for (const old of document.querySelectorAll("main > .error-box, .choose .error")) old.remove();
    for (const field of form.elements) field.removeAttribute("aria-invalid");
    const wrong = page.querySelector(".error-box");
    if (!wrong) return;
    wrong.removeAttribute("role"); // said politely, by `tell`
    document.querySelector(".picked").prepend(wrong);
  };

  const renew = async () => {
    clearTimeout(typing);
    const url = address(), results = document.querySelector(".picked");
    if (url === shown) return;
    asking.abort();
    const mine = asking = new AbortController();
    results.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(url, { signal: mine.signal });
      if (!answer.ok && answer.status !== 400) throw new Error(answer.statusText);
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      put(page);
      blame(page);
      shown = url;
      document.title = page.title;
      history.replaceState(null, "", url);
      document.dispatchEvent(new Event("renewed"));
      tell((results.querySelector(".error-box li") || results.querySelector("#matching") || told).textContent.trim());
    } catch {
      // The choice stands in the form, and its button asks again.
    } finally {
      if (mine === asking) results.removeAttribute("aria-busy");
    }
  };

  if (form) {
    shown = address();
    form.addEventListener("change", renew);
    form.addEventListener("input", ({ target }) => {
      if (target.type !== "text") return;
      clearTimeout(typing);
      typing = setTimeout(renew, PAUSE);
    });
  }
}
