// feedme: RSS, Atom and JSON Feed; elements become objects under their names.
import FeedMe from "feedme";
import { list, time, told } from "./common.mjs";

const words = (value) => (typeof value === "object" && value !== null ? value.text : value);
const links = (value) => list(value).map((one) => (typeof one === "string" ? { href: one } : one));

function parse(text) {
  return new Promise((resolve, reject) => {
    const parser = new FeedMe(true);
    parser.on("finish", () => resolve(parser.done()));
    parser.on("error", reject);
    parser.end(text);
  });
}

await told(async (text) => {
  const feed = await parse(text);
  return {
    title: words(list(feed.title)[0]),
    url: feed.home_page_url ?? links(feed.link).find((one) => one.rel === undefined || one.rel === "alternate")?.href,
    items: list(feed.items).map((item) => ({
      id: words(item.guid ?? item.id),
      title: words(item.title),
      url: item.url ?? links(item.link).find((one) => one.rel === undefined || one.rel === "alternate")?.href,
      published: time(item.pubdate ?? item.published ?? item.date_published),
      updated: time(item["atom:updated"] ?? item.updated ?? item.date_modified),
      content: words(item["content:encoded"] ?? item.content ?? item.content_html),
      enclosures: [
        ...list(item.enclosure),
        ...links(item.link).filter((one) => one.rel === "enclosure"),
        ...list(item.attachments),
      ].map((one) => ({
        url: one.url ?? one.href,
        type: one.type ?? one.mime_type,
        length: Number(one.length ?? one.size_in_bytes),
      })),
      categories: [
        ...list(item.category).map((one) => (typeof one === "object" ? (one.label ?? one.text) : one)),
        ...list(item.tags),
      ],
    })),
  };
});
