"""Where settings come from: flags, the environment and the TOML file; their only reader.

Flag > environment > TOML file > default; where each value came from is kept. Imports settings and errors.
"""

import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from kbsync.errors import ConfigInvalidError
from kbsync.settings import NEEDED_BY_AWS, Settings, default_home, variable


def load_settings(flags: Mapping[str, object], environment: Mapping[str, str]) -> Settings:
    """Return the settings that these flags, this environment and the configuration file give together.

    Flags of `None` count as not given, so do empty environment variables. Nothing is created or called.

    Raises:
        ConfigInvalidError (fatal): lists every problem at once, each with its remedy.
    """
    names = list(Settings.model_fields)
    from_flags = {name: value for name, value in flags.items() if value is not None}
    from_environment = {
        name: environment[variable(name)] for name in names if environment.get(variable(name))
    }
    path = _config_path(from_environment | from_flags)
    from_file, problems = _read_file(path) if path else ({}, [])
    layers: dict[str, Mapping[str, object]] = {
        "file": from_file,
        "environment": from_environment,
        "flag": from_flags,
    }
    values: dict[str, object] = {}
    origins: dict[str, str] = {}
    for origin, layer in layers.items():
        values |= layer
        origins |= dict.fromkeys(layer, origin)
    if path:
        values["config"] = path
        origins.setdefault("config", "default")
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        problems += [
            _problem(detail["loc"], detail["msg"], origins)
            for detail in error.errors(include_input=False)
            if detail["loc"]
        ]
    problems += _missing(values)
    if problems:
        raise _invalid(problems)
    settings._origins.update(origins)  # noqa: SLF001 - our own class, filled once
    return settings


def _invalid(problems: list[str]) -> ConfigInvalidError:
    count = f"{len(problems)} settings are" if len(problems) > 1 else "a setting is"
    lines = "\n".join(f"  {problem}" for problem in problems)
    return ConfigInvalidError(
        f"{count} wrong:\n{lines}", hint="mend each where it was set; `kbsync config` then shows what holds"
    )


def _config_path(values: Mapping[str, object]) -> Path | None:
    if values.get("config"):
        return Path(str(values["config"])).expanduser()
    home = Path(str(values.get("home") or default_home())).expanduser()
    default = home / "kbsync.toml"
    return default if default.is_file() else None


def _read_file(path: Path) -> tuple[dict[str, object], list[str]]:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return {}, [f"KBSYNC_CONFIG: there is no file {path} -> create it or leave the setting out"]
    except (OSError, UnicodeError) as error:
        return {}, [f"KBSYNC_CONFIG: {path} cannot be read ({type(error).__name__}) -> check its permissions"]
    except tomllib.TOMLDecodeError as error:
        return {}, [f"KBSYNC_CONFIG: {path} is not TOML: {error} -> write lines such as batch_size = 50"]
    known = [name for name in Settings.model_fields if name != "config"]
    problems = []
    for name in content.keys() - set(known):
        near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.5)
        remedy = f"did you mean {near[0]}?" if near else f"known names: {', '.join(known)}"
        problems.append(f"{path}: unknown setting {name!r} -> {remedy}")
    return {name: value for name, value in content.items() if name in known}, sorted(problems)


def _problem(location: tuple[int | str, ...], message: str, origins: Mapping[str, str]) -> str:
    name, wrong = str(location[0]), message.removeprefix("Value error, ")
    return f"{variable(name)} (from {origins[name]}): {wrong} -> {_remedy(name)}"


def _missing(values: Mapping[str, object]) -> list[str]:
    if values.get("backend") != "aws":
        return []
    absent = [name for name in NEEDED_BY_AWS if not values.get(name)]
    return [f"{variable(name)}: KBSYNC_BACKEND=aws needs it -> {_remedy(name)}" for name in absent]


def _remedy(name: str) -> str:
    field = Settings.model_fields[name]
    example = field.examples[0] if field.examples else Settings.model_construct()._shown(name)  # noqa: SLF001 - our own class
    return f"{field.description}; for example {example}"
