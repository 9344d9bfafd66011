"""The uv that an install brings to an instance without one: pinned, with the SHA-256 of its wheel for each platform.

To take a newer one: `echo uv==<version> | uv pip compile - --universal --format pylock.toml` has the hashes.
"""

from __future__ import annotations

VERSION = "0.13.9"
#: By file name. The one for aarch64 and musl is the first.
WHEELS = {
    "uv-0.13.9-py3-none-manylinux_2_17_aarch64.manylinux2014_aarch64.musllinux_1_1_aarch64.whl": (
        "5435c5ce14a56431208ca0996416d310f1598e8c2c8ba707688985a16bb82dbe"
    ),
    "uv-0.13.9-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl": (
        "d7f459fe4fd247d830351c75686d3996ace3c6f3f728eb0e85a30b7ada0cef19"
    ),
    "uv-0.13.9-py3-none-manylinux_2_28_aarch64.whl": (
        "ecb6028d79dc96fbeafffe5c8af62a7099487ebc05a701e76714eebcffd06375"
    ),
    "uv-0.13.9-py3-none-musllinux_1_1_x86_64.whl": "2c45530751517d6c3bbc69a19473f6effe47cce047bede01ffd8af7ea7b36b25",
}


def requirement() -> str:
    """A line of requirements that accepts these wheels only."""
    return " ".join([f"uv=={VERSION}", *(f"--hash=sha256:{digest}" for digest in WHEELS.values())])
