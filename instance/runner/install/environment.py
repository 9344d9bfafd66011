"""The environment that uv and pip run in."""

from __future__ import annotations

import configparser
import os
import re

from common.interpreter import STANDARD_PATH

#: uv does not read pip's settings. Where pip has a private index, uv would install packages of the same name from PyPI.
#: pip's name: uv's variables, and the separator of a list (None: one value).
_FOR_UV = {
    "INDEX_URL": (("UV_DEFAULT_INDEX", "UV_INDEX_URL"), None),
    "EXTRA_INDEX_URL": (("UV_INDEX", "UV_EXTRA_INDEX_URL"), " "),
    "FIND_LINKS": (("UV_FIND_LINKS",), ","),
    "TRUSTED_HOST": (("UV_INSECURE_HOST",), " "),
    "NO_INDEX": (("UV_NO_INDEX",), None),
    "CONSTRAINT": (("UV_CONSTRAINT",), " "),
    "NO_BUILD_ISOLATION": (("UV_NO_BUILD_ISOLATION",), None),
    "CERT": (("SSL_CERT_FILE",), None),
}


def tool_environment(home: str, spec_env: dict[str, str], prefix: str) -> dict[str, str]:
    """The environment of every tool of an install: the job's, the run spec's `env`, and defaults.

    home: absolute; HOME may be unset. prefix: the interpreter's, for its pip.conf. A variable that is set wins.
    """
    env = dict(os.environ, HOME=home)
    env["PATH"] = os.path.join(home, ".local", "bin") + ":" + env.get("PATH", STANDARD_PATH)
    defaults = {
        "NO_COLOR": "1",
        "PIP_BREAK_SYSTEM_PACKAGES": "1",  # the user's site is not the system's; old pips ignore the variable
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INPUT": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
        "UV_BREAK_SYSTEM_PACKAGES": "1",
        "UV_CACHE_DIR": os.path.join(home, ".cache", "uv"),
        "UV_NO_PROGRESS": "1",
        "UV_PYTHON_DOWNLOADS": "never",
    }
    for name, value in defaults.items():
        env.setdefault(name, value)
    env.update(spec_env)
    env.pop(
        "PYTHONPATH", None
    )  # meant for the training; a tool must not import the project's modules instead of its own
    for name, value in pip_settings_for_uv(env, home, prefix).items():
        env.setdefault(name, value)
    return env


def pip_settings(env: dict[str, str], home: str, prefix: str) -> dict[str, str]:
    """pip's own settings by their upper-case name, from its files (in pip's order) and then its variables."""
    config_home = env.get("XDG_CONFIG_HOME") or os.path.join(home, ".config")
    files = ["/etc/xdg/pip/pip.conf", "/etc/pip.conf", os.path.join(home, ".pip", "pip.conf")]
    files += [os.path.join(config_home, "pip", "pip.conf"), os.path.join(prefix, "pip.conf")]
    if env.get("PIP_CONFIG_FILE"):
        files = [] if env["PIP_CONFIG_FILE"] == os.devnull else [*files, env["PIP_CONFIG_FILE"]]
    settings = {}
    for file in files:
        parser = configparser.RawConfigParser()
        try:
            parser.read(file)
        except (configparser.Error, UnicodeDecodeError):
            continue  # pip itself reports what is wrong with its file
        for section in ("global", "install"):
            if parser.has_section(section):
                settings.update({name.upper().replace("-", "_"): value for name, value in parser.items(section)})
    settings.update({name[4:]: value for name, value in env.items() if name.startswith("PIP_")})
    return settings


def pip_variables(env: dict[str, str], home: str, prefix: str) -> dict[str, str]:
    """The settings of pip and uv on this instance, by the names of their variables."""
    found = {f"PIP_{name}": value for name, value in pip_settings(env, home, prefix).items()}
    return dict({name: value for name, value in env.items() if name.startswith("UV_")}, **found)


def pip_settings_for_uv(env: dict[str, str], home: str, prefix: str) -> dict[str, str]:
    """uv's variables for the settings of pip that decide where packages come from."""
    settings = pip_settings(env, home, prefix)
    translated = {}
    for name, (variables, separator) in _FOR_UV.items():
        value = settings.get(name, "").strip()
        if not value:
            continue
        if separator:
            value = separator.join(value.split())
        # A variable of uv's own that is set takes precedence over pip's setting.
        if not any(variable in env for variable in variables):
            translated[variables[0]] = value
    return translated


def for_uv_version(env: dict[str, str], version: tuple[int, int]) -> dict[str, str]:
    """The environment for a certain uv. version: (major, minor).

    uv has its own list of certificate authorities; a company's authority is in the system's list. The variable that
    selects the system's list was renamed in 0.11.
    """
    env = dict(env)
    if version >= (0, 11):
        env.setdefault("UV_SYSTEM_CERTS", "1")
    else:
        env.setdefault("UV_NATIVE_TLS", "1")
        if "UV_DEFAULT_INDEX" in env and version < (0, 5):
            env.setdefault("UV_INDEX_URL", env["UV_DEFAULT_INDEX"])
            if "UV_INDEX" in env:
                env.setdefault("UV_EXTRA_INDEX_URL", env["UV_INDEX"])
    return env


def version_of(text: str) -> tuple[int, int]:
    """(major, minor) from "uv 0.13.9 (…)" or "pip 23.0.1 from …"; (0, 0) when there is none."""
    match = re.search(r"(\d+)\.(\d+)", text)
    return (int(match.group(1)), int(match.group(2))) if match else (0, 0)


def link_mode(cache: str, target: str) -> str | None:
    """ "copy" where cache and target are on different filesystems: uv would warn about each file there."""
    return "copy" if _device(cache) != _device(target) else None


def _device(path: str) -> int:
    while not os.path.exists(path) and path != os.path.dirname(path):
        path = os.path.dirname(path)
    return os.stat(path).st_dev
