// rss-parser: RSS and Atom.
import Parser from "rss-parser";
import { list, time, told } from "./common.mjs";

const parser = new Parser();
const file = (one) => ({ url: one.url, type: one.type, length: Number(one.length) });

await told(async (text, kind) => {
  const feed = await parser.parseString(text);
  return {
    title: feed.title,
    url: feed.link,
    items: feed.items.map((item) => ({
      id: item.guid ?? item.id,
      title: item.title,
      url: item.link,
      published: time(item.pubDate),
      content: item["content:encoded"] ?? item.content,
      // it knows enclosures and categories of RSS only
      enclosures: kind === "rss" ? list(item.enclosure).map(file) : undefined,
      categories: kind === "rss" ? list(item.categories).map((one) => one._ ?? one) : undefined,
    })),
  };
});
