# SPDX-License-Identifier: GPL-2.0-only
"""Objects of the user that an option names, ``--with NAME=MODULE:OBJECT``, and their import."""

from __future__ import annotations

import importlib
import importlib.util
import operator
import os
import sys
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

from percpu_ffi.errors import ConfigError, describe_error


class Named(NamedTuple):
    """An object of the user."""

    name: str
    """As the user calls it."""
    place: str
    """``MODULE:OBJECT``, for messages."""
    value: Any
    """The object."""


def files_of(options: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield the file of each module, after the option that names it.

    Modules of the current folder can be imported from here on, as in ``python -m``.
    """
    sys.path.insert(0, os.getcwd())
    for given in options:
        module = given.partition("=")[2].partition(":")[0]
        with suppress(Exception, SystemExit):  # an error of a package that is imported
            spec = importlib.util.find_spec(module)
            if spec and spec.origin:
                yield f"--with {given}", spec.origin


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
        module, colon, attribute = place.partition(":")
        parts = name and equals and module and colon and attribute
        if not parts or "/" in module or module.endswith(".py"):
            raise ConfigError(f"{noun} {given!r}: {form}; MODULE as in an import, not a path")
        if name in names:
            raise ConfigError(f"{noun} {given!r}: the name {name} is taken; choose another one")
        try:
            value = operator.attrgetter(attribute)(importlib.import_module(module))
        except (Exception, SystemExit) as error:
            raise ConfigError(
                f"{noun} {name!r} cannot be imported: {describe_error(error)}"
            ) from None
        names.add(name)
        yield Named(name, place, value)
