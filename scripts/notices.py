"""Writes THIRD-PARTY-NOTICES.txt: the licences of everything that is compiled into the wheel.

    python3 scripts/notices.py            after a change of Cargo.lock
    python3 scripts/notices.py --check    fails where the file is not what it would write

The texts are those that the crates ship, all of them, however many a crate offers to choose from.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
NOTICES = ROOT / "THIRD-PARTY-NOTICES.txt"
FILES = re.compile(r"(LICEN[CS]E|COPYING|COPYRIGHT|NOTICE|UNLICENSE)", re.IGNORECASE)
#: Those that wheels are built for; a TOML reader comes with Python 3.11 only.
TARGET = re.compile(r'"([\w-]+-(?:linux-gnu|apple-darwin))"')
RULE = "=" * 80

HEAD = """\
What is compiled into a wheel of flask-mqtt-rs beside its own code, and the licences of it.
scripts/notices.py writes this file from Cargo.lock.
"""

#: What no crate has a file for. The crates that the library is built with are under MIT too.
RUST = """\
Rust's standard library, of the compiler that built the wheel
Copyright (c) The Rust Project Contributors
Licence: MIT OR Apache-2.0; its texts are below. https://www.rust-lang.org/policies/licenses
"""
OPENSSL = """\
OpenSSL {version}
Copyright (c) The OpenSSL Project Authors
Licence: Apache-2.0; its text is below. https://www.openssl.org
"""
SQLITE = """\
SQLite {version}
Public domain: its authors disclaim copyright to the source code. https://sqlite.org/copyright.html
In place of a legal notice, here is a blessing: May you do good and not evil. May you find
forgiveness for yourself and forgive others. May you share freely, never taking more than you give.
"""


def packages() -> dict[str, dict[str, Any]]:
    """Return the crates that end in a wheel, and the one that is OpenSSL, by their identifiers."""
    found: dict[str, dict[str, Any]] = {}
    for target in TARGET.findall((ROOT / "deny.toml").read_text()):
        command = [
            "cargo",
            "metadata",
            "--locked",
            "--format-version=1",
            "--filter-platform",
            target,
        ]
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
        metadata = json.loads(done.stdout)
        known = {package["id"]: package for package in metadata["packages"]}
        edges = {node["id"]: node["deps"] for node in metadata["resolve"]["nodes"]}
        waiting = list(edges[metadata["resolve"]["root"]])
        while waiting:
            edge = waiting.pop()
            identifier = edge["pkg"]
            # A build dependency stays outside, but for the one that is OpenSSL.
            normal = any(kind["kind"] is None for kind in edge["dep_kinds"])
            wanted = normal or known[identifier]["name"] == "openssl-src"
            if wanted and identifier not in found and edge["dep_kinds"][0]["kind"] != "dev":
                found[identifier] = known[identifier]
                waiting.extend(edges[identifier])
    return found


def tidy(text: str) -> str:
    """Return a text without the differences that nobody sees."""
    return "\n".join(line.rstrip() for line in text.expandtabs().splitlines()).strip("\n") + "\n"


def texts(package: dict[str, Any]) -> list[str]:
    """Return the licence files of a crate."""
    folder = Path(package["manifest_path"]).parent
    files = sorted(path for path in folder.iterdir() if path.is_file() and FILES.match(path.name))
    return [tidy(path.read_text(encoding="utf-8")) for path in files]


def notices() -> str:
    """Return the whole file."""
    crates = sorted(packages().values(), key=lambda package: (package["name"], package["version"]))
    folders = {crate["name"]: Path(crate["manifest_path"]).parent for crate in crates}
    openssl = tidy((folders["openssl-src"] / "openssl" / "LICENSE.txt").read_text(encoding="utf-8"))
    openssl_version = {c["name"]: c["version"] for c in crates}["openssl-src"].partition("+")[2]
    header = (folders["libsqlite3-sys"] / "sqlite3" / "sqlite3.h").read_text(encoding="utf-8")
    [sqlite_version] = re.findall(r'#define SQLITE_VERSION +"([\d.]+)"', header)

    users: dict[str, list[str]] = {openssl: [f"OpenSSL {openssl_version}"]}
    listed = []
    for crate in crates:
        name = f"{crate['name']} {crate['version']}"
        listed.append(f"{name}: {crate['license']}. {crate['repository'] or ''}".rstrip())
        shipped = texts(crate)
        if not shipped:
            if crate["license"] != "Apache-2.0":
                sys.exit(f"error: {name} ships no licence file; say here what its text is")
            # The text of this licence is the same for all; who wrote the crate is not in it.
            shipped = [openssl]
            name = f"{name}, copyright its authors: {', '.join(crate['authors'])}"
        for text in shipped:
            users.setdefault(text, []).append(name)

    parts = [
        HEAD,
        OPENSSL.format(version=openssl_version),
        SQLITE.format(version=sqlite_version),
        RUST,
        "Crates\n\n" + "\n".join(listed) + "\n",
    ]
    parts += [f"For {'; '.join(names)}:\n\n{text}" for text, names in users.items()]
    return f"\n{RULE}\n\n".join(parts)


def main() -> None:
    """Write the file, or compare it."""
    text = notices()
    if sys.argv[1:] == ["--check"]:
        if not NOTICES.exists() or NOTICES.read_text(encoding="utf-8") != text:
            sys.exit(f"error: {NOTICES.name} is out of date: run python3 scripts/notices.py")
    elif sys.argv[1:]:
        sys.exit(__doc__)
    else:
        NOTICES.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
