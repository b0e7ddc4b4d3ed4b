"""What several tests of the feeds look at: which files were touched, and what a feed holds."""

import json

# languages × (all + 3 topics) × formats; a list for each language and one of all; the topics
FEEDS = 3 * 4 * 3 + (3 + 1) + 1


def stamps(folder):
    """What tells whether a public file was touched: its inode and its time."""
    names = {p: str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    return {n: (p.stat().st_ino, p.stat().st_mtime_ns) for p, n in names.items() if not n.startswith(".")}


def touched(before, after):
    changed = {name for name in after if before.get(name) != after[name]} - {"manifest.json"}
    return {name for name in changed if not name.endswith((".gz", ".br"))}


def numbers(publisher, name="en/all.json"):
    return [item["_syndicator"]["number"] for item in json.loads(publisher.find(name).body)["items"]]
