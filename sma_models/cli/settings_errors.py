"""One-line errors about settings: jsonargparse lists every type that a value could have had."""

import re
from difflib import get_close_matches
from typing import Any, NoReturn

from lightning.pytorch.cli import LightningArgumentParser

_KEY = re.compile(r'Parser key "(?:fit\.|validate\.|test\.)?([^"]+)"')
_CLASS = re.compile(r"Problem with given class_path '([^']+)'")
_TYPE = re.compile(r"^Expected an? <class '(?:\w+\.)*(\w+)'>$")
_WRONG = re.compile(r"Expected an? (?:<class '(?:\w+\.)*(\w+)'>\. Got value: (.*)|(tuple with \d+ elements))")
_ABOUT = ("Does not validate", "Subtypes:", "Errors:", "Given value", "Parser key", "Problem with given class_path")


class Parser(LightningArgumentParser):
    """Reports errors in the settings in one line, without listing all settings."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        if not self.exit_on_error:
            super().error(message, ex)
        parser = getattr(ex, "subcommand_parser", None) or self
        raise SystemExit(f"sma-net: error: {one_line(message, parser._option_string_actions)}") from None


def one_line(message: str, options: Any = ()) -> str:
    """The cause of an error message of jsonargparse, with its option; options: the existing ones, such as --data."""
    if message.startswith("unrecognized arguments: "):
        return _unknown(message.partition(": ")[2], options)
    if message.startswith("the following arguments are required: "):
        missing = re.sub(r"(?:fit|validate|test)\.", "--", message.partition(": ")[2])
        return f"{missing} must be given, for example in a settings file: --config csv_fer.yaml"
    keys, classes = _KEY.findall(message), _CLASS.findall(message)
    lines = [line.strip().removeprefix("- ") for line in message.splitlines()]
    causes = [line for line in lines if line and not line.startswith(_ABOUT) and not line.startswith("Expected a")]
    option, name = f"--{keys[0]}" if keys else "", classes[-1].rpartition(".")[2] if classes else ""
    for cause in causes:
        if required := re.match("the following arguments are required: (.+)", cause):
            needed = ", ".join(f"{option}.{word}" for word in required[1].split(", "))
            return f"{needed} must be given: {name} needs it"
        if re.match("Option '.+' is not accepted", cause):
            nested = re.findall(r"NestedArg\(key='([^']+)'", message)
            word = nested[-1] if nested else re.findall("'(.+)'", cause)[0]
            return (
                f"there is no option {option}.{word}; {option}.help {classes[0] if classes else ''} lists the options"
            )
    if wrong := _WRONG.search(message):
        nested = re.findall(r"NestedArg\(key='([^']+)'", message)
        # Errors are nested: the outermost argument, which comes last, has the full name.
        where = [keys[0], nested[-1]] if nested else keys
        got = wrong[2] if wrong[1] else (re.findall("Given value: (.*)", message) or ["another value"])[0]
        return f"--{'.'.join(where)} must be {wrong[1] or wrong[3]}; got {got}"
    if causes:
        cause = re.sub(_KEY.pattern + ": ", "", causes[0])
        return ": ".join(text for text in (option or name, cause) if text)
    if unknown := re.search(r"Expected a dot import path string: (\S+)", message):
        return f"{option}: there is no class {unknown[1]!r}"
    if single := re.match(_KEY.pattern + r": +(\S.*)", message):
        return f"{option}: {single[2]}"
    types = [match[1] for line in lines if (match := _TYPE.match(line)) and match[1] != "NoneType"]
    value = re.search(r"Given value: (.*)", message)
    if types and value:
        return f"{option} must be {' or '.join(dict.fromkeys(types))}; got {value[1]}"
    return " ".join(" ".join(lines).split())


def _unknown(words: str, options: Any) -> str:
    word = words.split()[0]
    if not word.startswith("-"):
        return f"there is no argument {words}"
    name, dot, rest = word.lstrip("-").partition("=")[0].partition(".")
    heads = {option.lstrip("-").partition(".")[0] for option in options}
    close = get_close_matches(name, heads, 1)
    return f"there is no option {word}" + (f"; did you mean --{close[0]}{dot}{rest}?" if close else "")
