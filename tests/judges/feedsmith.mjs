// feedsmith: RSS, Atom, JSON Feed and OPML, each in the words of its format.
import { parseFeed, parseOpml } from "feedsmith";
import { list, time, told } from "./common.mjs";

const words = (text) => (typeof text === "object" && text !== null ? text.value : text);
const file = (url, type, length) => ({ url, type, length });

const ITEMS = {
  rss: (feed) =>
    feed.items.map((item) => ({
      id: words(item.guid),
      title: words(item.title),
      url: item.link,
      published: time(item.pubDate),
      updated: time(item.atom?.updated),
      content: item.content?.encoded,
      enclosures: list(item.enclosures).map((one) => file(one.url, one.type, one.length)),
      categories: list(item.categories).map((one) => one.name),
    })),
  atom: (feed) =>
    feed.entries.map((entry) => ({
      id: entry.id,
      title: words(entry.title),
      url: entry.links.find((link) => link.rel === "alternate" || !link.rel)?.href,
      published: time(entry.published),
      updated: time(entry.updated),
      content: words(entry.content),
      enclosures: entry.links
        .filter((link) => link.rel === "enclosure")
        .map((one) => file(one.href, one.type, Number(one.length))),
      categories: list(entry.categories).map((one) => one.label),
    })),
  json: (feed) =>
    feed.items.map((item) => ({
      id: item.id,
      title: item.title,
      url: item.url,
      published: time(item.date_published),
      updated: time(item.date_modified),
      content: item.content_html,
      enclosures: list(item.attachments).map((one) => file(one.url, one.mime_type, one.size_in_bytes)),
      categories: list(item.tags),
    })),
};

const PAGES = {
  rss: (feed) => feed.link,
  atom: (feed) => feed.links.find((link) => link.rel === "alternate" || !link.rel)?.href,
  json: (feed) => feed.home_page_url,
};

const flat = (outlines) => list(outlines).flatMap((one) => [one, ...flat(one.outlines)]);

await told((text, kind) => {
  if (kind === "opml") {
    const opml = parseOpml(text);
    return { title: opml.head?.title, feeds: flat(opml.body?.outlines).map((one) => one.xmlUrl).filter(Boolean) };
  }
  const { format, feed } = parseFeed(text);
  return { format, title: words(feed.title), url: PAGES[format](feed), items: ITEMS[format](feed) };
});
