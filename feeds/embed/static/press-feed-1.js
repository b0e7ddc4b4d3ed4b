/* <press-feed>: a public agency's releases on any page. No dependency, no cookies, no tracking.
   1. What stands inside the element (real links) is shown until the feed has come, and stays if it does not.
   2. Text is set as text, never as markup; links lead to http(s) only; pictures come from the feed's own host only.
   3. The feed is asked again at most once a minute, conditionally, and not while nobody looks at the page.
   4. Nothing inline: it works under a policy that allows this host and no more.
   5. Those who hear the page are told when the list has changed by itself, not when the page changes the element.
   How to use it: docs/embed.md. */
(() => {
  "use strict";
  const MINUTE = 60, DAY = 86400, USUAL = 300, WAIT = 15, SHARED = 50; // seconds
  const SILENCE = 100, SAID = 5000; // milliseconds
  const LONGEST = 300, MANY = 20; // characters of a title; feeds remembered
  const own = document.currentScript && document.currentScript.src;
  const WORDS = {
    az: ["Təcili", "Düzəliş edilib", "Bütün məlumatlar", "Siyahı yeniləndi", "Yeni vərəqdə açılır"],
    en: ["Urgent", "Corrected", "All releases", "The list has changed", "Opens in a new tab"],
    ru: ["Срочно", "Исправлено", "Все сообщения", "Список обновлён", "Откроется в новой вкладке"],
  };
  // Browsers leave out small languages' dates, and the pages of ours write these.
  const MONTHS = {
    az: "yanvar fevral mart aprel may iyun iyul avqust sentyabr oktyabr noyabr dekabr",
    en: "January February March April May June July August September October November December",
    ru: "января февраля марта апреля мая июня июля августа сентября октября ноября декабря",
  };
  const CSS = `
:host{display:block;font:var(--press-feed-font,inherit);color:var(--press-feed-ink,inherit);overflow-wrap:anywhere;position:relative;
--i:#17212b;--p:#fff;--l:#7b8590;--a:#a3161a;--b:#fbf0d9;--c:#744a00}
:host([hidden]){display:none}
:host([theme]){background:var(--press-feed-paper,var(--p));color:var(--press-feed-ink,var(--i));padding:var(--press-feed-gap,1rem);color-scheme:light}
:host([theme=dark]){--i:#e9ecee;--p:#12181d;--b:#362b16;--c:#f0c674;color-scheme:dark}
@media(prefers-color-scheme:dark){:host([theme=auto]){--i:#e9ecee;--p:#12181d;--b:#362b16;--c:#f0c674;color-scheme:dark}}
h2,h3,h4,h5,h6,ul,p{margin:0;padding:0}
[part~=heading]{font-size:1.25em;line-height:1.25;margin-bottom:.6em}
ul{list-style:none;display:grid;gap:var(--press-feed-gap,1rem);grid-template-columns:minmax(0,1fr)}
li{border-top:1px solid var(--press-feed-line,var(--l));padding-top:.6em}
:host([layout=cards]) ul{grid-template-columns:repeat(auto-fill,minmax(min(100%,var(--press-feed-card,15rem)),1fr))}
:host([layout=cards]) li{border:1px solid var(--press-feed-line,var(--l));border-radius:var(--press-feed-radius,.4em);padding:.9em}
[part~=title]{font-weight:600;line-height:1.35;color:var(--press-feed-link,inherit);text-underline-offset:.18em}
a{color:inherit}
a:hover{text-decoration-thickness:.14em}
a:focus-visible{outline:3px solid;outline-offset:2px}
[part~=meta],[part~=note],[part~=summary],[part~=footer]{font-size:.875em;margin-top:.3em;line-height:1.5}
[part~=label]{font-weight:650;border-radius:.25em;padding:0 .5em;margin-inline-end:.6em;background:var(--press-feed-amber-wash,var(--b));color:var(--press-feed-amber,var(--c))}
[part~=urgent]{background:var(--press-feed-alarm,var(--a));color:var(--press-feed-on-alarm,#fff)}
[part~=footer]{margin-top:1em}
img{display:block;width:100%;aspect-ratio:16/9;object-fit:cover;margin-bottom:.6em;border-radius:inherit}
[role=status]{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
@media(forced-colors:active){[part~=label]{border:1px solid}}`;
  let sheet;
  const asked = new Map(); // by address: elements of one page that show the same feed ask for it once

  const make = (name, part, text) => {
    const made = document.createElement(name);
    if (part) made.setAttribute("part", part);
    if (text) made.textContent = text;
    return made;
  };
  const plain = (value, longest = LONGEST) => {
    const signs = typeof value == "string" ? Array.from(value.slice(0, 4 * longest)) : [];
    return signs.length > longest ? signs.slice(0, longest - 1).join("") + "…" : signs.join("");
  };
  const web = (value, base) => {
    try {
      const url = typeof value == "string" ? new URL(value, base) : {};
      return /^https?:$/.test(url.protocol) ? url : null;
    } catch {
      return null;
    }
  };
  const day = (when, lang, timeZone) => {
    if (!MONTHS[lang]) return when.toLocaleDateString(lang, { dateStyle: "long", timeZone });
    const shape = { day: "numeric", month: "numeric", year: "numeric", timeZone };
    const [month, date, year] = when.toLocaleDateString("en-US", shape).split("/");
    return `${date} ${MONTHS[lang].split(" ")[month - 1]} ${year}${lang === "ru" ? " г." : ""}`;
  };
  const list = (value) => (Array.isArray(value) ? value : []);

  const load = (url) => {
    const now = Date.now(), known = asked.get(url);
    if (known && now - known.at < SHARED * 1000) return known.feed;
    if (asked.size > MANY) asked.clear();
    const abort = new AbortController();
    const timer = setTimeout(() => abort.abort(), WAIT * 1000);
    const feed = fetch(url, { cache: "no-cache", credentials: "omit", referrerPolicy: "no-referrer", signal: abort.signal })
      .then((answer) => {
        if (!answer.ok) throw new Error(`${url}: ${answer.status}`);
        return answer.json();
      })
      .finally(() => clearTimeout(timer));
    asked.set(url, { at: now, feed });
    feed.catch(() => asked.delete(url));
    return feed;
  };

  class PressFeed extends HTMLElement {
    static observedAttributes = ["src", "lang", "topic", "filter", "limit", "layout", "heading", "heading-level", "images", "refresh", "time-zone", "target"];
    #root = this.attachShadow({ mode: "open" });
    #shown = ["", ""]; // what stands there now: of the feed, and of the element
    #section = make("section", "feed");
    #timer = 0;
    #voice = 0;
    #failed = 0;
    #last = 0;
    #look = () => this.#plan();
    #status = make("p");

    constructor() {
      super();
      this.#status.setAttribute("role", "status");
      this.#root.append(make("slot"));
      this.#section.append(this.#status);
      try {
        if (!sheet) (sheet = new CSSStyleSheet()).replaceSync(CSS);
        this.#root.adoptedStyleSheets = [sheet];
      } catch {
        // A browser without constructable style sheets shows the list as the page styles it through ::part.
      }
    }

    connectedCallback() {
      document.addEventListener("visibilitychange", this.#look);
      this.refresh();
    }

    disconnectedCallback() {
      document.removeEventListener("visibilitychange", this.#look);
      clearTimeout(this.#timer);
      clearTimeout(this.#voice);
      this.#timer = 0;
    }

    attributeChangedCallback(_name, before, after) {
      if (before !== after && this.isConnected && this.#last) this.refresh();
    }

    get #lang() {
      const holder = this.closest("[lang]");
      return ((holder && holder.lang) || "").toLowerCase();
    }

    /** The address of the feed: a topic's, or the one of a filter. */
    get #url() {
      const base = web(this.getAttribute("src") || own, document.baseURI);
      if (!base) return "";
      const asks = new URLSearchParams(this.getAttribute("filter") || "");
      const several = (key, extra) => [...new Set([...asks.getAll(key), extra || ""].join(",").split(",").map((s) => s.trim()).filter(Boolean))];
      const langs = several("lang"), topics = several("topic", this.getAttribute("topic")).sort();
      if (!langs.length && this.#lang) langs.push(this.#lang.split("-")[0]);
      const parts = [["lang", langs], ["topic", topics], ["not", several("not").sort()], ["kind", several("kind").sort()]]
        .map(([key, values]) => values.length && `${key}=${values.map(encodeURIComponent).join(",")}`)
        .filter(Boolean);
      const words = asks.getAll("q").join(" ").split(/\s+/).filter(Boolean);
      if (words.length) parts.push("q=" + words.map(encodeURIComponent).join("+"));
      const simple = langs.length == 1 && topics.length < 2 && parts.length == 1 + topics.length;
      return new URL(simple ? `/feeds/${encodeURIComponent(langs[0])}/${encodeURIComponent(topics[0] || "all")}.json` : "/feeds/custom.json?" + parts.join("&"), base).href;
    }

    get #every() {
      const given = this.getAttribute("refresh"), wish = given === null || given === "" ? USUAL : Number(given);
      return wish === 0 ? 0 : Math.min(DAY, Math.max(MINUTE, wish || USUAL));
    }

    /** Ask for the feed and show it; what is shown stays where that fails. */
    async refresh() {
      const url = this.#url;
      clearTimeout(this.#timer);
      this.#timer = 0;
      this.#last = Date.now();
      try {
        if (!url) throw new Error("press-feed: no address in src");
        const feed = await load(url);
        if (url !== this.#url || !this.isConnected) return;
        this.#show(feed, url);
        this.#failed = 0;
      } catch {
        this.#failed += 1; // the page's own links, or the list as it was, stay
        this.dispatchEvent(new CustomEvent("press-feed-error"));
      }
      this.#plan();
    }

    #plan() {
      clearTimeout(this.#timer);
      this.#timer = 0;
      if (document.hidden || !this.isConnected || !this.#every) return;
      const wait = Math.min(DAY, this.#every * 2 ** Math.min(this.#failed, 6)) * 1000 * (1 + Math.random() / 10);
      this.#timer = setTimeout(() => this.refresh(), Math.max(0, this.#last + wait - Date.now()));
    }

    #show(feed, url) {
      const limit = Math.min(20, Math.max(1, Math.trunc(Number(this.getAttribute("limit"))) || 5));
      const items = list(feed.items).filter((item) => item && web(item.url, url)).slice(0, limit);
      const given = PressFeed.observedAttributes.map((name) => this.getAttribute(name));
      const state = [[items, feed.title, feed.home_page_url], [given, this.#lang]].map((one) => JSON.stringify(one));
      const [known, chosen] = this.#shown;
      if (state.join() === this.#shown.join()) return;
      const lang = plain(feed.language) || this.#lang.split("-")[0] || "en";
      const [urgent, corrected, all, changed, opens] = WORDS[lang] || WORDS.en;
      const section = this.#section, made = [];
      section.lang = lang;
      section.setAttribute("aria-label", plain(this.getAttribute("heading") || feed.title));
      if (this.getAttribute("heading")) {
        const level = Number(this.getAttribute("heading-level"));
        made.push(make("h" + (level >= 2 && level <= 6 ? level : 2), "heading", plain(this.getAttribute("heading"))));
      }
      const rows = make("ul", "list");
      rows.setAttribute("role", "list");
      rows.append(...items.map((item) => this.#row(item, url, lang, urgent, corrected)));
      made.push(rows);
      const home = web(feed.home_page_url, url);
      if (home) {
        const footer = make("p", "footer");
        footer.append(this.#link(home, "more", all));
        made.push(footer);
      }
      if (this.#aside) {
        const said = make("p", "", opens);
        said.id = "opens";
        said.hidden = true;
        made.push(said);
      }
      const held = this.#root.activeElement && this.#root.activeElement.href;
      this.#shown = state;
      while (section.firstChild !== this.#status) section.firstChild.remove(); // one that moved would not be heard
      this.#status.before(...made);
      if (!section.isConnected) this.#root.firstChild.replaceWith(section);
      this.#say(known && chosen === state[1] && known !== state[0] ? changed : "");
      if (held) {
        const same = [...this.#root.querySelectorAll("a")].find((one) => one.href === held);
        if (same) same.focus({ preventScroll: true });
      }
      this.dispatchEvent(new CustomEvent("press-feed-load", { detail: { items: items.length } }));
    }

    /** Emptied first and afterwards: only a text that changes is heard, and an old one is not to be found. */
    #say(words) {
      clearTimeout(this.#voice);
      this.#status.textContent = "";
      if (!words) return;
      this.#voice = setTimeout(() => {
        this.#status.textContent = words;
        this.#voice = setTimeout(() => this.#say(""), SAID);
      }, SILENCE);
    }

    get #aside() {
      return this.getAttribute("target") === "_blank";
    }

    #link(url, part, text) {
      const link = make("a", part, text);
      link.href = url.href;
      if (this.#aside) {
        link.target = "_blank";
        link.rel = "noopener";
        link.setAttribute("aria-describedby", "opens");
      }
      return link;
    }

    #row(item, url, lang, urgent, corrected) {
      const more = item._syndicator || {}, gone = more.state === "withdrawn";
      const note = gone ? "" : plain(more.correction, 1000);
      const row = make("li", ["item", gone && "withdrawn-item", note && "corrected-item", !gone && more.urgency === "urgent" && "urgent-item"].filter(Boolean).join(" "));
      const picture = gone || !this.hasAttribute("images") ? null : web(item.image, url);
      if (picture && picture.origin === new URL(url).origin) {
        const file = list(item.attachments).find((one) => one && one.url === item.image);
        const img = make("img", "image");
        img.alt = plain(file && file._syndicator && file._syndicator.alt);
        img.loading = "lazy";
        img.referrerPolicy = "no-referrer";
        img.src = picture.href;
        row.append(img);
      }
      const link = this.#link(web(item.url, url), "title");
      link.append(make("bdi", "", plain(item.title) || web(item.url, url).href));
      const tongue = plain(item.language, 35) || lang;
      link.hreflang = tongue;
      if (tongue !== lang) row.lang = tongue;
      const meta = make("p", "meta");
      if (!gone && more.urgency === "urgent") meta.append(make("span", "label urgent", urgent));
      if (note) meta.append(make("span", "label corrected", corrected));
      const time = this.#time(item.date_published, lang);
      if (time) meta.append(time);
      row.append(link, meta);
      if (note) {
        const said = make("p", "note");
        const when = this.#time(item.date_modified, lang);
        if (when) said.append(when, ": ");
        said.append(make("bdi", "", note));
        row.append(said);
      }
      const summary = plain(item.summary, 600);
      if (summary && (gone || this.getAttribute("layout") === "cards" || this.getAttribute("layout") === "full")) {
        const said = make("p", gone ? "summary withdrawn" : "summary");
        said.append(make("bdi", "", summary));
        row.append(said);
      }
      return row;
    }

    #time(value, lang) {
      const when = new Date(value), time = make("time", "time");
      if (typeof value != "string" || Number.isNaN(+when)) return null;
      time.dateTime = when.toISOString();
      try {
        time.textContent = day(when, lang, this.getAttribute("time-zone") || undefined);
      } catch {
        time.textContent = day(when, "en"); // no such zone or language
      }
      return time;
    }
  }

  if (!customElements.get("press-feed")) customElements.define("press-feed", PressFeed);
})();
