"""Reads the topic file (`topics.toml`, or the one that `topics.file` names)."""

from __future__ import annotations

import tomllib
from pathlib import Path

from config.settings import BadSettings
from syndicator.domain.topics import BadTopics, Taxonomy

__all__ = ["load_topics"]


def load_topics(path: Path) -> Taxonomy:
    """The topic tree of a file.

    Raises:
        BadSettings: one line that names the file, the place and what is allowed.
    """
    try:
        return Taxonomy.from_mapping(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise BadSettings(f"{path}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadSettings(f"{path}: is not TOML: {error}") from None
    except BadTopics as error:
        raise BadSettings(f"{path}: {error}") from None
