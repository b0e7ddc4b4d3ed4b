/* Adds to each address a button that copies it, where the browser can. Without this script nothing is missing:
   the address is selected by one tap, and so it can be copied by hand. */
"use strict";

{
  const SHOWN = 2500, SILENCE = 100; // milliseconds
  const timers = new WeakMap();
  const told = document.getElementById("copied");
  let speaking = 0;

  /* Emptied first: a reader that hears the page is told again only of a text that changes. */
  const tell = (words) => {
    if (!told) return;
    clearTimeout(speaking);
    told.textContent = "";
    if (words) speaking = setTimeout(() => { told.textContent = words; }, SILENCE);
  };

  const offer = () => {
    for (const button of document.querySelectorAll("button[data-copy]")) button.hidden = !navigator.clipboard;
  };

  document.addEventListener("focusin", ({ target }) => {
    if (target.matches("[data-copy-source]")) target.select();
  });
  document.addEventListener("click", async ({ target }) => {
    const button = target.closest("button[data-copy]");
    if (!button) return;
    const field = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(field.value);
    } catch {
      field.focus();
      return;
    }
    button.dataset.label ||= button.textContent;
    button.textContent = button.dataset.copied;
    tell(button.dataset.copied);
    clearTimeout(timers.get(button));
    timers.set(button, setTimeout(() => {
      button.textContent = button.dataset.label;
      tell("");
    }, SHOWN));
  });
  document.addEventListener("renewed", offer); // static/picker.js
  offer();
}
