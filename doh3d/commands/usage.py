"""What is wrong with the words of a command: what, where, and what would be right, in one line."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import typer

# Characters of a wrong value that are shown.
_SHOWN = 40

# What a value must be, by how pydantic, which Typer reads values with, calls its error.
_NEEDED = {"int": "a whole number", "float": "a number"}

# How alike an option must be to one that there is for that to be proposed; from 0 to 1.
_ALIKE = 0.75

# How a message begins that says which argument of a function is wrong.
_ARGUMENTS = re.compile(r"(\w+)(?: and (\w+))? (?=is |contradict |chooses )")


def is_usage_error(error: Exception) -> bool:
    """Whether the parser of the command line raised it; its classes are not public."""
    return hasattr(error, "format_message")


def explain(error: Any) -> str:
    """Say in one line what a usage error is about; empty where help has been shown instead."""
    kind = type(error).__name__
    context = getattr(error, "ctx", None)
    command = "doh3d" if context is None else context.command_path
    see = f"see {command} --help"
    if kind == "BadParameter":
        return _wrong_value(error) or f"{_plain(error)}; {see}"
    if kind == "MissingParameter":
        told = f" ({error.param.help.rstrip('.')})" if error.param.help else ""
        return f"{_hint(error.param)} is missing{told}; {see}"
    if kind == "NoSuchOption":
        alike = get_close_matches(error.option_name, error.possibilities or [], cutoff=_ALIKE)
        meant = f"did you mean {' or '.join(alike)}?" if alike else see
        return f"{command} has no option {error.option_name}; {meant}"
    # Typer does not say in which command an option has a value too many or too few.
    if context is None or not error.format_message():
        return _plain(error)
    # A group of commands fails by itself only where it does not know the command.
    commands = getattr(context.command, "commands", None)
    right = see if commands is None else f"the commands are {', '.join(commands)}"
    return f"{_plain(error)}; {right}"


def as_options(message: str, app: typer.Typer) -> str:
    """Spell the arguments that a message begins with as options: max_bytes as --max-bytes.

    Functions that a command calls name their arguments; whoever typed the command knows options.
    """
    found = _ARGUMENTS.match(message)
    if found is None:
        return message
    options = _options(app)
    names = [name for name in found.groups() if name is not None]
    if not all(name in options for name in names):
        return message
    return f"{' and '.join(options[name] for name in names)} {message[found.end() :]}"


def _options(app: typer.Typer) -> dict[str, str]:
    """Long options of all commands, by their names as arguments."""
    from typer.main import get_command

    def walk(command: Any) -> list[str]:
        own = [name for each in command.params for name in each.opts if name.startswith("--")]
        return own + [
            name for each in getattr(command, "commands", {}).values() for name in walk(each)
        ]

    return {name[2:].replace("-", "_"): name for name in walk(get_command(app))}


def _wrong_value(error: Any) -> str | None:
    """Say which value is not of the option's type; None where only the parser's words do."""
    causes = getattr(error.__cause__, "errors", None)
    if causes is None:
        return None
    first = causes()[0]
    needed = _NEEDED.get(first["type"].partition("_")[0])
    if needed is None:
        return None
    value = str(first["input"])
    shown = value if len(value) <= _SHOWN else f"{value[:_SHOWN]}..."
    return f"{_hint(error.param)} is {shown!r}; it must be {needed}"


def _hint(parameter: Any) -> str:
    """Name an option as it is typed, an argument as the help has it."""
    if parameter.param_type_name == "option":
        return max(map(str, parameter.opts), key=len)
    return f"argument {parameter.metavar or parameter.name}"


def _plain(error: Any) -> str:
    return str(error.format_message()).rstrip(".")
