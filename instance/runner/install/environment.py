"""The environment that uv and pip run in."""

import configparser
import os
import re

from common.interpreter import STANDARD_PATH

#: uv does not read pip's settings. A person who set up a private index for pip would otherwise get packages of the same
#: name from PyPI. pip's name: uv's variables, and what separates a list there (None: one value).
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


def tool_environment(home, spec_env, prefix):
    """What every tool of an install gets: the job's environment, the run spec's `env`, and settings nobody has to type.

    home: absolute; HOME may be unset. prefix: the interpreter's, for its pip.conf. What the person set wins.
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
    env.pop("PYTHONPATH", None)  # the training's; a tool must not find the person's modules before its own
    for name, value in pip_settings_for_uv(env, home, prefix).items():
        env.setdefault(name, value)
    return env


def pip_settings(env, home, prefix):
    """pip's own settings by their upper-case name, from its files (in pip's order) and then its variables."""
    config_home = env.get("XDG_CONFIG_HOME") or os.path.join(home, ".config")
    files = ["/etc/xdg/pip/pip.conf", "/etc/pip.conf", os.path.join(home, ".pip", "pip.conf")]
    files += [os.path.join(config_home, "pip", "pip.conf"), os.path.join(prefix, "pip.conf")]
    if env.get("PIP_CONFIG_FILE"):
        files = [] if env["PIP_CONFIG_FILE"] == os.devnull else [*files, env["PIP_CONFIG_FILE"]]
    found = {}
    for file in files:
        parser = configparser.RawConfigParser()
        try:
            parser.read(file)
        except (configparser.Error, UnicodeDecodeError):
            continue  # pip itself will say what is wrong with its file
        for section in ("global", "install"):
            if parser.has_section(section):
                found.update({name.upper().replace("-", "_"): value for name, value in parser.items(section)})
    found.update({name[4:]: value for name, value in env.items() if name.startswith("PIP_")})
    return found


def pip_settings_for_uv(env, home, prefix):
    """uv's variables for the settings of pip that decide where packages come from."""
    settings = pip_settings(env, home, prefix)
    found = {}
    for name, (variables, separator) in _FOR_UV.items():
        value = settings.get(name, "").strip()
        if not value:
            continue
        if separator:
            value = separator.join(value.split())
        # Someone who set one of uv's own variables for this has said what uv is to do.
        if not any(variable in env for variable in variables):
            found[variables[0]] = value
    return found


def for_uv_version(env, version):
    """The environment for a certain uv. version: (major, minor).

    uv brings its own list of certificate authorities; a company's own is in the system's. The variable has two names.
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


def version_of(text):
    """(major, minor) from "uv 0.13.9 (…)" or "pip 23.0.1 from …"; (0, 0) when there is none."""
    match = re.search(r"(\d+)\.(\d+)", text)
    return (int(match.group(1)), int(match.group(2))) if match else (0, 0)


def link_mode(cache, target):
    """ "copy" where the cache cannot be linked from, which uv would otherwise find out and warn about for each file."""
    return "copy" if _device(cache) != _device(target) else None


def _device(path):
    while not os.path.exists(path) and path != os.path.dirname(path):
        path = os.path.dirname(path)
    return os.stat(path).st_dev
