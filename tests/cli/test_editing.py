"""Commands of the press office: looking before it leaves, publishing, correcting, withdrawing."""

from __future__ import annotations

import pytest

TEXT = "Visa fees change\n\nThe fee becomes 20 lir.\n"
PNG = b"\x89PNG\r\n\x1a\n" + b"picture"


def test_a_document_is_shown_as_each_channel_would_and_nothing_is_kept(operator, document, root):
    shown = operator.json("preview", document(TEXT))
    assert shown == {
        "previews": {
            "plain en": "Visa fees change\nThe fee becomes 20 lir.",
            "loud en": "Visa fees change",
        },
        "reach": {},
    }
    assert "would reach 0 now" in operator("preview", document(TEXT)).stderr
    assert list(operator.json("preview", document(TEXT), "--channel", "loud")["previews"]) == ["loud en"]
    assert operator.json("topics")[0]["en releases"] == 0


def test_a_picture_that_still_lies_beside_its_document_is_shown_under_its_address_to_be(operator, tmp_path, root):
    folder = root.folder / "desk"
    folder.mkdir()
    (folder / "hall.png").write_bytes(PNG)
    file = folder / "hall.en.md"
    file.write_text("---\nimage: {src: hall.png, alt: The hall}\n---\n# The hall opens\n\nOn Monday.\n")
    shown = operator.json("preview", file)["previews"]["plain en"]
    assert "[The hall] /media/" in shown
    assert not (root.folder / "media").exists(), "looking keeps nothing"
    number = operator.json("publish", file)["number"]
    assert operator.json("preview", number)["previews"]["plain en"] == shown
    (folder / "hall.png").write_bytes(b"no picture")
    assert "hall.png" in operator.refused("preview", file)


def test_a_release_is_published_corrected_and_withdrawn(operator, document):
    assert operator("publish", document(TEXT)).stdout == "1 public en\n"
    mended = document("Visa fees change\n\nThe fee becomes 25 lir.\n")
    assert operator("correct", 1, mended, "--note", "It is 25 lir.").stdout == "1 corrected, major revision 1\n"
    assert "25 lir" in operator.json("preview", 1)["previews"]["plain en"]
    done = operator.json("withdraw", 1, "--reason", "Not decided yet.")
    assert done == {"number": 1, "state": "withdrawn", "major": 1, "langs": ["en"]}
    assert operator("withdraw", 1, "--reason", "Not decided yet.").stdout == "1 withdrawn\n"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("preview", "7"), "release 7: there is none"),
        (("preview", "9" * 30), "there is none"),
        (("preview", "none.en.txt"), "none.en.txt: the file cannot be read"),
        (("preview", "FILE", "--channel", "pigeon"), "--channel: 'pigeon' is not one of plain, loud"),
        (("preview", "FILE", "--lang", "ru"), "--lang: 'ru' is not one of en"),
        (("publish", "none.en.txt"), "none.en.txt: the file cannot be read"),
        (("publish", "notes.doc"), "the name must end with one of"),
        (("correct", "7", "FILE", "--note", "x"), "release 7: there is none"),
        (("correct", "1", "FILE", "--note", " "), "--note: is empty"),
        (("withdraw", "7", "--reason", "x"), "release 7: there is none"),
        (("withdraw", "1", "--reason", ""), "--reason: is empty"),
        (("topics", "7"), "release 7: there is none"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_exit_code_1(operator, document, words, says):
    file = document(TEXT)
    assert says in operator.refused(*(file if word == "FILE" else word for word in words))


@pytest.mark.parametrize(
    "words",
    [
        ("preview",),
        ("correct", "1"),
        ("correct", "0", "x", "--note", "x"),
        ("withdraw", "9" * 30, "--reason", "x"),
        ("withdraw", "one", "--reason", "x"),
        ("deliveries", "list", "--state", "lost"),
        ("deliveries", "list", "--limit", "0"),
        ("deliveries", "retry", "--id", "9" * 30),
        ("nonsense",),
    ],
)
def test_a_command_that_is_written_wrongly_is_exit_code_2(operator, words):
    assert "Traceback" not in operator(*words, code=2).stderr


def test_topics_are_explained_with_near_misses(operator, document, root):
    root.taxonomy = type(root.taxonomy).from_mapping(
        {
            "topic": [
                {"slug": "visas", "name": {"en": "Visas"}, "words": {"en": {"visa": 3}}},
                {"slug": "office", "name": {"en": "Office"}, "words": {"en": {"fee": 1}}},
            ]
        }
    )
    file = document(TEXT)
    rows = operator.json("topics", file)
    assert (rows[0]["topic"], rows[0]["chosen"]) == ("visas", "by the rules")
    assert "visa (title" in rows[0]["because"]
    operator("publish", file)
    assert operator.json("topics", 1) == rows
    ticked = document("---\ntopics: [office]\n---\nHello there\n\nNothing about it.\n", "b.en.txt")
    (row,) = operator.json("topics", ticked)
    assert (row["topic"], row["chosen"], row["because"]) == ("office", "by the editor", "no phrase of it occurs")
