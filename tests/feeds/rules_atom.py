"""The rules of Atom (RFC 4287) and its tombstones (RFC 6721)."""

from lxml import etree

from tests.feeds.rules_common import (
    AT,
    ATOM,
    RFC3339,
    XML_LANG,
    foreign,
    history,
    instant,
    iri,
    language,
    links,
    media,
    once,
    safe_html,
    served_at,
    tree,
    unique,
    web_address,
)

FEED_ONCE = {"generator", "icon", "id", "logo", "rights", "subtitle", "title", "updated"}
ENTRY_ONCE = {"content", "id", "published", "rights", "source", "summary", "title", "updated"}
ATOM_MANY = {"author", "category", "contributor", "link", "entry"}


def atom(body, served, now):
    root, faults = tree(body)
    yield from faults
    if root is None:
        return
    if root.tag != f"{{{ATOM}}}feed":
        yield "document: not an Atom feed"
        return
    entries = root.findall(f"{{{ATOM}}}entry")
    yield from foreign("feed", root, ATOM)
    yield from _container("feed", root, FEED_ONCE, now)
    yield from served_at("feed", root, served, "application/atom+xml")
    yield from history("feed", root, served, "application/atom+xml")
    for name in ("icon", "logo"):
        for one in root.findall(f"{{{ATOM}}}{name}"):
            yield from web_address(f"feed: {name}", one.text)
    yield from language("feed: xml:lang", root.get(XML_LANG))
    authored = root.find(f"{{{ATOM}}}author") is not None
    for entry in entries:
        what = f"entry {entry.findtext(f'{{{ATOM}}}id')}"
        yield from _entry(what, entry, now)
        if not authored and entry.find(f"{{{ATOM}}}author") is None:
            yield f"{what}: no author, nor has the feed one"
    yield from unique("id", [node.findtext(f"{{{ATOM}}}id") for node in (root, *entries)])
    deleted = root.findall(f"{{{AT}}}deleted-entry")
    for one in deleted:
        yield from iri("deleted-entry: ref", one.get("ref"))
        yield from instant("deleted-entry: when", one.get("when"), now)
    yield from unique("deleted-entry", [(one.get("ref"), one.get("when")) for one in deleted])


def _container(what, node, single, now):
    """What holds for a feed and for an entry alike."""
    for name in ("id", "title", "updated"):
        if len(node.findall(f"{{{ATOM}}}{name}")) != 1:
            yield f"{what}: not one {name}"
    yield from once(what, node, {f"{{{ATOM}}}{name}" for name in single})
    for child in node:
        name = etree.QName(child)
        if name.namespace == ATOM and name.localname not in single | ATOM_MANY:
            yield f"{what}: no such element: {name.localname}"
    yield from iri(f"{what}: id", node.findtext(f"{{{ATOM}}}id"))
    yield from instant(f"{what}: updated", node.findtext(f"{{{ATOM}}}updated"), now)
    for name in ("title", "subtitle", "summary", "rights", "content"):
        for text in node.findall(f"{{{ATOM}}}{name}"):
            yield from _text(f"{what}: {name}", text)
    yield from _named(what, node)
    yield from links(what, node)


def _named(what, node):
    """Authors and categories."""
    for author in node.findall(f"{{{ATOM}}}author"):
        if not (author.findtext(f"{{{ATOM}}}name") or "").strip():
            yield f"{what}: author: no name"
        if author.find(f"{{{ATOM}}}uri") is not None:
            yield from iri(f"{what}: author: uri", author.findtext(f"{{{ATOM}}}uri"))
    for category in node.findall(f"{{{ATOM}}}category"):
        if not category.get("term"):
            yield f"{what}: category: no term"
        if category.get("scheme") is not None:
            yield from iri(f"{what}: category: scheme", category.get("scheme"))


def _text(what, text):
    kind = text.get("type", "text")
    if kind not in ("text", "html"):
        yield f"{what}: neither text nor HTML: {kind!r}"
    if len(text):
        yield f"{what}: has elements where {kind} is written as text"
    elif kind == "html":
        yield from safe_html(what, text.text)
    if not (text.text or "").strip() and not what.endswith("content"):
        yield f"{what}: empty"


def _entry(what, entry, now):
    yield from _container(what, entry, ENTRY_ONCE, now)
    published, updated = (entry.findtext(f"{{{ATOM}}}{name}") for name in ("published", "updated"))
    if published is not None:
        yield from instant(f"{what}: published", published, now)
        if RFC3339.fullmatch(published) and RFC3339.fullmatch(updated or "") and published > updated:
            yield f"{what}: updated before it was published"
    if entry.get(XML_LANG) is not None:
        yield from language(f"{what}: xml:lang", entry.get(XML_LANG))
    links = [(x.get("rel", "alternate"), x.get("href")) for x in entry.findall(f"{{{ATOM}}}link")]
    if entry.find(f"{{{ATOM}}}content") is None and "alternate" not in dict(links):
        yield f"{what}: neither content nor an alternate"
    yield from unique(f"{what}: enclosures", [href for rel, href in links if rel == "enclosure"])
    yield from media(what, entry)
