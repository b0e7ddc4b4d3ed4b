"""What the rules of every format say alike: addresses, ids, times, languages, HTML, links. Each gives its faults."""

import re
from collections import Counter
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from urllib.parse import urlsplit

from babel import Locale
from lxml import etree
from lxml import html as markup

ATOM, CONTENT, DC = (
    "http://www.w3.org/2005/Atom",
    "http://purl.org/rss/1.0/modules/content/",
    "http://purl.org/dc/elements/1.1/",
)
MEDIA, AT = "http://search.yahoo.com/mrss/", "http://purl.org/atompub/tombstones/1.0"
HISTORY = "http://purl.org/syndication/history/1.0"
XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
EXTENSIONS = {ATOM, CONTENT, DC, HISTORY, MEDIA, AT}
LANGUAGES = set(Locale("en").languages)
MIME = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]*/[a-z0-9][a-z0-9!#$&^_.+-]*", re.IGNORECASE | re.ASCII)
IRI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s<>\"{}|\\^`]+")
TAG = re.compile(r"tag:[a-z0-9.-]+,\d{4}(-\d\d(-\d\d)?)?:\S+")
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
RFC822 = re.compile(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d ([+-]\d{4}|GMT)")
RELS = {
    "alternate",
    "current",
    "edit",
    "edit-media",
    "enclosure",
    "first",
    "hub",
    "last",
    "license",
    "next",
    "next-archive",
    "payment",
    "prev-archive",
    "previous",
    "related",
    "replies",
    "self",
    "service",
    "up",
    "via",
}
ACTIVE = {
    "script",
    "style",
    "iframe",
    "frame",
    "object",
    "embed",
    "applet",
    "form",
    "input",
    "button",
    "meta",
    "link",
    "base",
    "noscript",
    "svg",
    "math",
}
ADDRESSES = ("href", "src", "cite", "action", "poster", "data")


def web_address(what, url):
    parts = urlsplit(url or "")
    if parts.scheme not in ("http", "https") or not parts.netloc or not (url or "").isascii() or re.search(r"\s", url):
        yield f"{what}: not an absolute web address: {url!r}"


def language(what, tag):
    if not re.fullmatch(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*", tag or "") or tag.partition("-")[0] not in LANGUAGES:
        yield f"{what}: not a language: {tag!r}"


def iri(what, text):
    if not IRI.fullmatch(text or ""):
        yield f"{what}: not an absolute IRI: {text!r}"
    elif text.startswith("tag:") and not TAG.fullmatch(text):
        yield f"{what}: not a tag URI: {text!r}"


def instant(what, text, now):
    """An RFC 3339 time that exists and is not ahead."""
    try:
        if RFC3339.fullmatch(text or ""):
            if datetime.fromisoformat(text) > now:
                yield f"{what}: lies in the future: {text}"
            return
    except ValueError:
        pass
    yield f"{what}: not an RFC 3339 time: {text!r}"


def mail_date(what, text, now):
    """An RFC 822 time that exists, on its own weekday, and is not ahead."""
    try:
        when = parsedate_to_datetime(text) if RFC822.fullmatch(text or "") else None
    except ValueError:
        when = None
    if when is None:
        yield f"{what}: not an RFC 822 time: {text!r}"
        return
    if format_datetime(when)[:3] != text[:3]:
        yield f"{what}: another weekday than the date's: {text}"
    if when.replace(tzinfo=when.tzinfo or UTC) > now:
        yield f"{what}: lies in the future: {text}"


def media_type(what, text):
    if not MIME.fullmatch(text or ""):
        yield f"{what}: not a media type: {text!r}"


def whole_number(what, text):
    if not re.fullmatch(r"[0-9]+", text or ""):
        yield f"{what}: not a number: {text!r}"


def safe_html(what, text):
    """HTML as readers show it: nothing that runs, no address that depends on where it is read."""
    for element in markup.fragment_fromstring(text or "", create_parent="div").iter(etree.Element):
        if element.tag in ACTIVE:
            yield f"{what}: has <{element.tag}>"
        for name, value in element.attrib.items():
            if name.lower().startswith("on") or name.lower() == "style":
                yield f"{what}: has the attribute {name}"
            if name.lower() in ADDRESSES and not re.match(r"(https?://[^/]|mailto:|tel:)", value, re.IGNORECASE):
                yield f"{what}: an address that is relative or runs: {value!r}"


def unique(what, values):
    for value, times in Counter(values).items():
        if times > 1:
            yield f"{what}: more than once: {value!r}"


def once(what, node, names):
    for name, times in Counter(child.tag for child in node if child.tag in names).items():
        if times > 1:
            yield f"{what}: {times} times {etree.QName(name).localname}"


def tree(body):
    """The root of the document, or None and why."""
    if not body.startswith((b"<?xml version='1.0' encoding='UTF-8'?>", b'<?xml version="1.0" encoding="UTF-8"?>')):
        return None, ["document: does not declare XML in UTF-8"]
    try:
        parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True)
        root = etree.fromstring(body, parser)
    except etree.XMLSyntaxError as error:
        return None, [f"document: not well-formed: {error}"]
    if root.getroottree().docinfo.doctype:
        return None, ["document: has a DTD"]
    return root, []


def foreign(what, node, own):
    """Elements that nobody has defined where they stand."""
    for child in node.iter(etree.Element):
        name = etree.QName(child)
        if (name.namespace or "") not in EXTENSIONS | {own}:
            yield f"{what}: <{name.localname}> of an unknown namespace {name.namespace}"
    for child in node:
        if child.tag is not etree.Comment and etree.QName(child).namespace == ATOM != own and child.tag not in (
            f"{{{ATOM}}}link", f"{{{ATOM}}}updated", f"{{{ATOM}}}author"
        ):  # fmt: skip
            yield f"{what}: {child.tag} has no meaning in RSS"


def links(what, node):
    """Atom links, in Atom and in RSS."""
    links = node.findall(f"{{{ATOM}}}link")
    for link in links:
        rel = link.get("rel", "alternate")
        yield from web_address(f"{what}: link {rel}", link.get("href"))
        if rel not in RELS and not IRI.fullmatch(rel):
            yield f"{what}: no such relation: {rel!r}"
        if link.get("type") is not None:
            yield from media_type(f"{what}: link {rel}", link.get("type"))
        if link.get("hreflang") is not None:
            yield from language(f"{what}: link {rel}", link.get("hreflang"))
        if link.get("length") is not None:
            yield from whole_number(f"{what}: link {rel}: length", link.get("length"))
        if stray := set(link.attrib) - {"href", "rel", "type", "hreflang", "title", "length"}:
            yield f"{what}: link {rel}: has {sorted(stray)}"
    alternates = [(x.get("type"), x.get("hreflang")) for x in links if x.get("rel", "alternate") == "alternate"]
    yield from unique(f"{what}: alternates of the same type and language", alternates)
    yield from unique(f"{what}: links", [tuple(sorted(x.attrib.items())) for x in links])


def served_at(what, node, served, kind):
    found = [(x.get("href"), x.get("type")) for x in node.findall(f"{{{ATOM}}}link") if x.get("rel") == "self"]
    if found != [(served, kind)]:
        yield f"{what}: the self link is not the address that was served: {found}"


def media(what, node):
    for one in node.findall(f"{{{MEDIA}}}content"):
        yield from web_address(f"{what}: media", one.get("url"))
        yield from media_type(f"{what}: media", one.get("type"))
        if one.get("medium") not in ("image", "audio", "video", "document", "executable"):
            yield f"{what}: media: no such medium: {one.get('medium')!r}"
        if one.get("fileSize") is not None:
            yield from whole_number(f"{what}: media: fileSize", one.get("fileSize"))
        if stray := set(one.attrib) - {"url", "type", "medium", "fileSize", "width", "height", "lang", "isDefault"}:
            yield f"{what}: media: has {sorted(stray)}"
        for said in one:
            if not (said.text or "").strip():
                yield f"{what}: media: empty {etree.QName(said).localname}"


def history(what, node, served, kind):
    """Archives (RFC 5005 section 4): marked once, neighbours of the same kind, and never themselves."""
    marks = node.findall(f"{{{HISTORY}}}*")
    links = [link for link in node.findall(f"{{{ATOM}}}link") if link.get("rel") in NEIGHBOURS]
    times = Counter(link.get("rel") for link in links)
    yield from (f"{what}: {many} times {rel}" for rel, many in times.items() if many > 1)
    yield from (f"{what}: no such element: {one.tag}" for one in marks if one.tag != f"{{{HISTORY}}}archive")
    if len(marks) > 1 or any(one.attrib or one.text or len(one) for one in marks):
        yield f"{what}: fh:archive: more than one empty element"
    if bool(marks) != bool(times["current"]):
        yield f"{what}: fh:archive and the link to the current feed do not stand together"
    if times["next-archive"] and not marks:
        yield f"{what}: names a newer archive and is none itself"
    for link in links:
        if link.get("href") == served:
            yield f"{what}: {link.get('rel')} is this very document"
        if link.get("type") not in (None, kind):
            yield f"{what}: {link.get('rel')} is of another kind: {link.get('type')!r}"


NEIGHBOURS = ("current", "prev-archive", "next-archive")
