// rss-parser: RSS and Atom.
import Parser from "rss-parser";
import { list, time, told } from "./common.mjs";

const parser = new Parser();

await told(async (text) => {
  const feed = await parser.parseString(text);
  return {
    title: feed.title,
    items: feed.items.map((item) => ({
      id: item.guid ?? item.id,
      title: item.title,
      url: item.link,
      published: time(item.pubDate),
      content: item["content:encoded"] ?? item.content,
      enclosures: list(item.enclosure).map((file) => ({ url: file.url, type: file.type, length: Number(file.length) })),
      categories: item.categories?.map((one) => one._ ?? one), // it knows those of RSS only
    })),
  };
});
