"""Options that several commands share, and the commands' common rules.

An option of the main command may also come after the name of a command, and the other way round. A command
that cannot honour one refuses it with the reason, and a mistyped name gets a suggestion.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from front_door.stack.configs import DEFAULT_STACK
from front_door.state import existing_parent
from review_sentiment.errors import UsageError, did_you_mean

OF_A_RUN = "it is an option of the pipeline's run, which has no command: python run_pipeline.py"
READS_NO_SETTINGS = "it reads no settings; --name chooses another registered model"
REFUSALS = {
    "config_file": READS_NO_SETTINGS,
    "overrides": READS_NO_SETTINGS,
    "as_json": "it has no result to print",
    "stack": "it runs on this machine",
    "rerun": OF_A_RUN,
    "only": OF_A_RUN,
    "dry_run": OF_A_RUN,
    "detach": OF_A_RUN,
    "event_file": OF_A_RUN,
}
"""Why a command that lacks an option of the main command refuses it."""


def _given_before(context: click.Context, option: click.Parameter) -> Any:
    """Return the value that the option was given before the command's name, or None."""
    main, name = context.parent, str(option.name)
    given = main is not None and main.get_parameter_source(name) is ParameterSource.COMMANDLINE
    return main.params[name] if given and main else None


def _from_both(context: click.Context, option: click.Parameter, value: Any) -> Any:
    """Return the option's value, wherever it was given; repeated options are added up."""
    before = _given_before(context, option)
    if option.multiple and before:
        return (*before, *value)
    given = context.get_parameter_source(str(option.name)) is ParameterSource.COMMANDLINE
    return value if before is None or given else before


def _refuse(context: click.Context, option: click.Parameter, value: Any) -> None:
    if value or _given_before(context, option):
        raise UsageError(
            f"`{context.info_name}` does not take {option.opts[0]}: {REFUSALS[str(option.name)]}."
        )


class MainCommand(click.Group):
    """The main command: its options and those of its commands are accepted in any order, or refused."""

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """Add a command, which takes --debug, and refuses the main command's options that it lacks."""
        own = {option.name for option in cmd.params}
        for option in self.params:
            if option.name == "debug":
                cmd.params.append(
                    click.Option(option.opts, is_flag=True, expose_value=False, help="Show tracebacks.")
                )
            elif isinstance(option, click.Option) and option.name not in own:
                cmd.params.append(
                    click.Option(
                        [*option.opts, str(option.name)],
                        is_flag=option.is_flag,
                        multiple=option.multiple,
                        hidden=True,
                        expose_value=False,
                        callback=_refuse,
                    )
                )
        super().add_command(cmd, name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that is meant.

        Raises:
            UsageError: there is none of this name; the nearest one is suggested.
        """
        name = args[0]
        if name not in self.commands and not name.startswith("-"):
            raise UsageError(
                f"'{name}' is not a command.{did_you_mean(name, self.commands)} Without a command, the "
                f"pipeline runs. The commands are: {', '.join(sorted(self.commands))}."
            )
        return super().resolve_command(ctx, args)


def new_directory(_context: click.Context, _option: click.Parameter, path: Path) -> Path:
    """Return a directory to write to, checked before any work whose result it would take.

    Raises:
        UsageError: it is a file, it is not empty, or nothing can be written there.
    """
    existing = existing_parent(path)
    if not existing.is_dir():
        raise UsageError(f"{existing} is a file: choose another directory.")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise UsageError(f"{path} cannot be written: you have no write permission for {existing}.")
    if existing == path and any(path.iterdir()):
        raise UsageError(f"{path} is not empty: choose a new directory, or empty this one.")
    return path


def given_options(context: click.Context) -> list[str]:
    """Return the command line's options that have a value, except --events, in the order of the help."""
    words = []
    for option in context.command.params:
        name = str(option.name)
        given = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if given and isinstance(option, click.Option) and not option.is_flag and name != "event_file":
            values = context.params[name] if option.multiple else [context.params[name]]
            words += [word for value in values for word in (option.opts[0], str(value))]
    return words


NAME = click.option("--name", help="Name of the registered model. Default: the setting registry.model_name.")
STACK = click.option(
    "--stack",
    default=DEFAULT_STACK,
    show_default=True,
    metavar="NAME",
    callback=_from_both,
    help="Where to run: stacks/NAME.yaml. Your active ZenML stack does not change.",
)
CONFIG = click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    callback=_from_both,
    help="Settings file. Default: configs/STACK.yaml (gpu.yaml for gpu-local), or configs/local.yaml.",
)
OVERRIDES = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    callback=_from_both,
    help="Change one setting, such as training.epochs=2. Can be repeated.",
)
RERUN = click.option(
    "--rerun",
    multiple=True,
    metavar="STEP",
    callback=_from_both,
    help="Run this step even if it is cached. Can be repeated.",
)
JSON = click.option("--json", "as_json", is_flag=True, callback=_from_both, help="Print the result as JSON.")
