# SPDX-License-Identifier: GPL-2.0-only
"""Objects of the user that options name, as ``NAME=MODULE:OBJECT`` or ``MODULE:CALL``."""

from __future__ import annotations

import importlib
import importlib.util
import operator
import os
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

from percpu_ffi.errors import ConfigError, describe_error, shown

MODULE = "MODULE as in an import, not a path"


class Named(NamedTuple):
    """An object of the user."""

    name: str
    """As the user calls it."""
    place: str
    """``MODULE:OBJECT``, for messages."""
    value: Any
    """The object."""


def files_of(options: Iterable[str], executor: str | None = None) -> Iterator[tuple[str, str]]:
    """Yield the file of each module, after the option that names it.

    Modules of the current folder can be imported from here on, as in ``python -m``.

    Args:
        options: the values of ``--with``.
        executor: the value of ``--executor``.

    """
    sys.path.insert(0, os.getcwd())
    named = [(f"--with {given}", given.partition("=")[2]) for given in options]
    if executor is not None:
        named.append((f"--executor {executor}", executor))
    for option, place in named:
        with suppress(Exception, SystemExit):  # an error of a package that is imported
            spec = importlib.util.find_spec(place.partition(":")[0])
            if spec and spec.origin:
                yield option, spec.origin


def import_objects(
    options: Iterable[str], noun: str, form: str, taken: Collection[str]
) -> Iterator[Named]:
    """Import what the options name, one after the other.

    Args:
        options: texts as ``NAME=MODULE:OBJECT``.
        noun: what the object is, for messages.
        form: the form of the options, with an example, for messages.
        taken: names that are in use.

    Raises:
        ConfigError: a text has another form, its name is taken, or it cannot be imported.

    """
    names = {*taken}
    for given in options:
        name, equals, place = given.partition("=")
        if not (name and equals and _is_place(place)):
            raise ConfigError(f"{noun} {given!r}: {form}; {MODULE}")
        if name in names:
            raise ConfigError(f"{noun} {given!r}: the name {name} is taken; choose another one")
        names.add(name)
        yield Named(name, place, _imported(place, f"{noun} {name!r}"))


def import_call(option: str, place: str, example: str) -> Callable[[], Any]:
    """Import the function that an option names as ``MODULE:CALL``.

    Raises:
        ConfigError: the text has another form, it cannot be imported, or is not callable.

    """
    if not _is_place(place):
        raise ConfigError(f"{option} {place}: MODULE:CALL is needed, such as {example}; {MODULE}")
    value = _imported(place, f"{option} {place}")
    if not callable(value):
        raise ConfigError(f"{option} {place}: that is {shown(value)}, not a function or class")
    call: Callable[[], Any] = value
    return call


def _is_place(text: str) -> bool:
    """Return whether a text has the form ``MODULE:OBJECT``, its module as in an import."""
    module, colon, attribute = text.partition(":")
    return bool(module and colon and attribute) and "/" not in module and module[-3:] != ".py"


def _imported(place: str, what: str) -> Any:
    module, _, attribute = place.partition(":")
    try:
        return operator.attrgetter(attribute)(importlib.import_module(module))
    except (Exception, SystemExit) as error:
        raise ConfigError(f"{what} cannot be imported: {describe_error(error)}") from None
