/* Adds to each address a button that copies it, where the browser can. Without this script nothing is missing:
   the address is selected by one tap, and so it can be copied by hand. */
"use strict";

for (const field of document.querySelectorAll("[data-copy-source]")) {
  field.addEventListener("focus", () => field.select());
}

if (navigator.clipboard) {
  for (const button of document.querySelectorAll("button[data-copy]")) {
    const label = button.textContent;
    const told = document.getElementById("copied");
    button.hidden = false;
    button.addEventListener("click", async () => {
      const field = document.getElementById(button.dataset.copy);
      try {
        await navigator.clipboard.writeText(field.value);
      } catch {
        field.focus();
        return;
      }
      button.textContent = button.dataset.copied;
      if (told) told.textContent = button.dataset.copied;
      setTimeout(() => {
        button.textContent = label;
        if (told) told.textContent = "";
      }, 2500);
    });
  }
}
