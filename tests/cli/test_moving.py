"""Where an office goes may stand in a file: a password on the command line is seen by everybody on the machine."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("held", "says"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"", "must hold one address"),
        (b"postgresql://a:geheim@one/x postgresql://a:geheim@two/x", "must hold one address"),
        (b"\xff\xfe", "cannot be read: it is no text"),
        (b"mysql://a:geheim@one/x", "where an office goes is postgresql://"),
        (b"postgresql://a:geheim@one:port/x", "where an office goes is postgresql://"),
    ],
)
def test_a_file_that_names_no_database_ends_a_move_with_one_line_and_no_secret(operator, tmp_path, held, says):
    file = tmp_path / "database.url"
    if held is not None:
        file.write_bytes(held)
    said = operator("migrate", "--to-file", file, code=1).stderr
    assert says in said
    assert said.count("\n") == 1
    assert "geheim" not in said


@pytest.mark.parametrize("also", [("--stay",), ("--to", "postgresql://one/x")])
def test_a_move_is_told_once_where_it_goes(operator, tmp_path, also):
    file = tmp_path / "database.url"
    file.write_text("postgresql://one/x\n")
    assert "one of them" in operator("migrate", "--to-file", file, *also, code=1).stderr
