"""Reads the settings: defaults, file, environment, in that order of strength.

Rules, in order (the later wins):

1. `config/default.toml`, the shipped defaults; with `--demo` then `config/demo.toml`.
2. One `syndicator.toml`: `--config`, else `SYNDICATOR_CONFIG`, else the file of that name in the working folder.
3. Environment: `SYNDICATOR_SECTION__KEY`; a secret also as a file, `SYNDICATOR_SECTION__KEY_FILE`.
4. An unknown or bad key stops the start with one line that names the file, the key and what is allowed.

Lists (`sources`, `telegram.channels`) are replaced whole, tables are merged key by key. From the environment a
list or table is written as JSON.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from config.email import DomainSettings
from config.settings import BadSettings, DirectorySource, Settings, SqlSource, TelegramChannel

__all__ = ["load"]

HERE = Path(__file__).parent
PREFIX = "SYNDICATOR_"
NOT_YET = {
    "webhooks": "webhooks are not part of this version; remove the section",
    "operators": "operators are not part of this version; remove the section",
    "console": "the console is not part of this version; remove the section",
}


def load(path: Path | None = None, environ: Mapping[str, str] = os.environ, *, demo: bool = False) -> Settings:
    """Read defaults, with `demo` the sample releases' settings, the file and the environment.

    Raises:
        BadSettings: with one line that names the file or variable, the key, and what is allowed.
    """
    chosen = path or _named_file(environ)
    tables = _read(HERE / "default.toml")
    if demo:
        tables = _merge(tables, _demo())
    if chosen is not None:
        tables = _merge(tables, _read(chosen))
    from_env = _from_environment(environ)
    tables = _merge(tables, from_env)
    for key, why in NOT_YET.items():
        if key in tables:
            raise BadSettings(f"{chosen or 'environment'}: {key}: {why}")
    try:
        return Settings.model_validate(tables)
    except ValidationError as error:
        raise BadSettings(_one_line(error, str(chosen or "default.toml"), from_env)) from None


def _demo() -> dict[str, Any]:
    """The settings of the demo; its sample releases lie beside this file, wherever that is."""
    tables = _read(HERE / "demo.toml")
    for source in tables["sources"]:
        source["path"] = source["path"].replace("{config}", str(HERE))
    return tables


def _named_file(environ: Mapping[str, str]) -> Path | None:
    if named := environ.get(PREFIX + "CONFIG"):
        return Path(named)
    usual = Path("syndicator.toml")
    return usual if usual.exists() else None


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadSettings(f"{path}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadSettings(f"{path}: is not TOML: {error}") from None


def _merge(under: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(under)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = _merge(below, value) if isinstance(below, dict) and isinstance(value, Mapping) else value
    return merged


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    tables: dict[str, Any] = {}
    for name, value in sorted(environ.items()):
        if not name.startswith(PREFIX) or name == PREFIX + "CONFIG":
            continue
        path = name.removeprefix(PREFIX).lower().split("__")
        if path[-1].endswith("_file") and len(path) > 1:
            path[-1] = path[-1].removesuffix("_file")
            value = _secret_file(name, value)  # noqa: PLW2901  # the file's content stands for its name
        _put(tables, path, _plain_value(value))
    return tables


def _secret_file(name: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise BadSettings(f"{name}: cannot read {path}: {error.strerror}") from None


def _plain_value(value: str) -> Any:
    if value[:1] in ("[", "{"):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _put(tables: dict[str, Any], path: list[str], value: Any) -> None:
    for key in path[:-1]:
        tables = tables.setdefault(key, {})
        if not isinstance(tables, dict):
            return
    tables[path[-1]] = value


def _one_line(error: ValidationError, file: str, from_env: Mapping[str, Any]) -> str:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    path = [str(part) for part in first["loc"] if part not in ("directory", "sql")]
    key = ".".join(path)
    where = _origin(path, file, from_env)
    if first["type"] == "extra_forbidden":
        return f"{where}: {key}: unknown key; allowed here: {', '.join(_allowed(path[:-1]))}"
    message = first["msg"].removeprefix("Value error, ")
    return f"{where}: {key + ': ' if key else ''}{message[:1].lower()}{message[1:]}"


def _origin(path: list[str], file: str, from_env: Mapping[str, Any]) -> str:
    found: Any = from_env
    for key in path:
        if not isinstance(found, Mapping) or key not in found:
            return file
        found = found[key]
    return PREFIX + "__".join(path).upper() if path else file


def _types(annotation: Any) -> list[type]:
    """The classes that an annotation names: itself, or those in a union or a table."""
    return [one for one in (annotation, *get_args(annotation)) if isinstance(one, type)]


def _allowed(path: list[str]) -> list[str]:
    model: type[BaseModel] = Settings
    for key in path:
        if key.isdigit():
            continue
        if key == "sources":
            return sorted({*DirectorySource.model_fields, *SqlSource.model_fields})
        if key == "channels":
            model = TelegramChannel
            continue
        if model is DomainSettings:
            continue  # a domain's own name
        annotation = model.model_fields[key].annotation if key in model.model_fields else None
        sections = [one for one in _types(annotation) if issubclass(one, BaseModel)]
        if not sections:
            return []
        model = sections[0]
    return [field.alias or name for name, field in model.model_fields.items()]
