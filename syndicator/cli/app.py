"""The command line: one Typer application over the wiring that `main.py` hands in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from syndicator.cli import editing, moving, people, running
from syndicator.cli.desk import Session, Wiring

__all__ = ["make_cli"]


def make_cli(wiring: Wiring) -> typer.Typer:
    """Every command of the program."""
    app = typer.Typer(
        name="syndicator",
        help="Carries an agency's releases to feeds, Telegram and email subscribers.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
    )

    @app.callback()
    def start(
        context: typer.Context,
        config: Annotated[
            Path | None, typer.Option(help="The settings; else SYNDICATOR_CONFIG, else ./syndicator.toml.")
        ] = None,
    ) -> None:
        """Read where the settings are; each command reads them itself."""
        context.obj = Session(wiring, config)

    running.register(app)
    moving.register(app)
    editing.register(app)
    people.register(app)
    return app
