// What a receiver makes of mails: DKIM, SPF and DMARC by mailauth, on the DNS that the caller writes down.
// Given: a JSON file {"zone": {"TXT name": [[text, ...], ...]}, "ip", "helo", "mails": {key: {"sender", "path"}}}.
import { readFile } from "node:fs/promises";
import { authenticate } from "mailauth";

const asked = JSON.parse(await readFile(process.argv[2], "utf8"));

async function resolver(name, type) {
  const found = asked.zone[`${type} ${name.toLowerCase()}`];
  if (found === undefined) {
    throw Object.assign(new Error(`${name} has no ${type}`), { code: "ENOTFOUND" });
  }
  return found;
}

const told = {};
for (const [key, { sender, path }] of Object.entries(asked.mails)) {
  const report = await authenticate(await readFile(path), {
    ip: asked.ip,
    helo: asked.helo,
    sender,
    resolver,
    disableArc: true,
    disableBimi: true,
  });
  told[key] = {
    dkim: report.dkim.results.map((r) => r.status.result),
    spf: report.spf.status.result,
    dmarc: report.dmarc.status.result,
    aligned: report.dmarc.alignment,
    covered: report.dkim.results.map((r) => r.signingHeaders.keys.toLowerCase().split(/[\s:]+/)),
  };
}
process.stdout.write(JSON.stringify(told));
