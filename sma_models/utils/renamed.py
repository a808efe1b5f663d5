"""Old names of options and settings, accepted for one version with a warning."""

import warnings
from collections.abc import Mapping, Sequence


def warn_renamed(old: str, new: str) -> None:
    """Warns that a setting has a new name."""
    warnings.warn(f"{old} is now called {new}; the old name will be removed in the next version", stacklevel=3)


def current_options(arguments: Sequence[str], renamed: Mapping[str, str]) -> list[str]:
    """The arguments of a command line with renamed options under their new names; warns of each old name.

    renamed: new name by old name, such as {"--smooth": "--smoothing"}
    """
    current = []
    for argument in arguments:
        option, equals, value = argument.partition("=")
        if option in renamed:
            warn_renamed(option, renamed[option])
            argument = renamed[option] + equals + value
        current.append(argument)
    return current
