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
    assert operator("publish", document(TEXT)).stdout == "1 public en: new\n"
    mended = document("Visa fees change\n\nThe fee becomes 25 lir.\n")
    assert operator("correct", 1, mended, "--note", "It is 25 lir.").stdout == "1 corrected, major revision 1\n"
    assert "25 lir" in operator.json("preview", 1)["previews"]["plain en"]
    done = operator.json("withdraw", 1, "--reason", "Not decided yet.")
    assert done == {"number": 1, "state": "withdrawn", "major": 1, "langs": ["en"]}
    assert operator("withdraw", 1, "--reason", "Not decided yet.").stdout == "1 withdrawn\n"


def test_publishing_says_what_became_of_the_document(operator, document):
    assert operator.json("publish", document(TEXT))["result"] == "new"
    assert operator("publish", document(TEXT)).stdout == "1 public en: same\n"
    assert operator("publish", document(TEXT + "\nMore.\n")).stdout == "1 public en: revised\n"
    assert operator("publish", document("Haqq\n\nMətn.\n", "fees.az.txt")).stdout == "1 public en az: added\n"


def test_an_old_name_is_not_taken_for_another_release_by_mistake(operator, document):
    operator("publish", document(TEXT))
    other = document("The office moves\n\nFrom Monday.\n")
    line = operator.refused("publish", other)
    assert "fees.en.txt: its name belongs to release 1, 'Visa fees change'; --revise" in line
    assert "Visa fees change" in operator.json("preview", 1)["previews"]["plain en"]
    assert operator("publish", other, "--revise").stdout == "1 public en: revised\n"
    assert "The office moves" in operator.json("preview", 1)["previews"]["plain en"]


def test_a_document_too_old_to_be_announced_says_so(operator, document):
    done = operator("publish", document("---\npublished: 2026-11-01T10:00:00+00:00\n---\n" + TEXT))
    assert done.stdout == "1 public en: new\n"
    assert done.stderr == "not announced: older than 72 hours (published 2026-11-01T10:00+00:00)\n"
    assert operator("publish", document(TEXT, "new.en.txt")).stderr == ""


@pytest.mark.parametrize("front", ["state: draft", "embargo: 2026-11-30T10:00:00+00:00"])
def test_what_is_not_public_yet_is_not_published_by_a_correction(operator, document, front):
    number = operator.json("publish", document(f"---\n{front}\n---\n{TEXT}"))["number"]
    line = operator.refused("correct", number, document(TEXT, "b.en.txt"), "--note", "x")
    assert line == "release 1 is not public yet: edit its document instead"
    assert operator.json("topics")[0]["en releases"] == 0


def test_a_correction_that_changes_nothing_says_so(operator, document):
    operator("publish", document(TEXT))
    mended = document("Visa fees change\n\nThe fee becomes 25 lir.\n")
    operator("correct", 1, mended, "--note", "It is 25 lir.")
    line = operator.refused("correct", 1, mended, "--note", "It is 25 lir.")
    assert line == "nothing to correct: the text and note are the same"


def test_a_correction_of_a_withdrawn_release_brings_it_back_and_says_so(operator, document):
    operator("publish", document(TEXT))
    operator("withdraw", 1, "--reason", "Not decided yet.")
    mended = document("Visa fees change\n\nThe fee becomes 25 lir.\n")
    said = operator("correct", 1, mended, "--note", "Decided.").stdout
    assert said == "1 corrected, major revision 1, public again\n"


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
