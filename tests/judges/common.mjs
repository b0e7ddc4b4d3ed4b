// What every reader's script does: read the files named on the command line, print what the reader made of them.
import { readFile } from "node:fs/promises";

export const list = (value) => (value === undefined || value === null ? [] : Array.isArray(value) ? value : [value]);
export const time = (value) => {
  const moment = value === undefined || value === null || value === "" ? NaN : Date.parse(value);
  return Number.isNaN(moment) ? null : Math.floor(moment / 1000);
};

export async function told(read) {
  const found = {};
  for (const path of process.argv.slice(2)) {
    found[path] = await read(await readFile(path, "utf8"), path.split(".").pop());
  }
  process.stdout.write(JSON.stringify(found));
}
