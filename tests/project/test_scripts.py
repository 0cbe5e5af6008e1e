"""What the scripts ask, say and install, with an apt-get that only notes what it was called for."""

from __future__ import annotations

import os
import pty
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted(
    path for path in (ROOT / "scripts").iterdir() if path.suffix == "" and path.is_file()
)


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder with an apt-get that writes its arguments into a file, and a sudo."""
    for name, body in {"apt-get": f'echo "$@" >>"{tmp_path}/calls"', "sudo": 'exec "$@"'}.items():
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\n{body}\n")
        program.chmod(0o755)
    return tmp_path


def run_lib(programs: Path, code: str, answer: str | None = None) -> tuple[int, str]:
    """Run code after lib.sh, at a terminal if there is an answer; return its code and output."""
    environment = os.environ | {"PATH": f"{programs}:{os.environ['PATH']}", "CI": ""}
    command = ["bash", "-euc", f". scripts/lib.sh\n{code}"]
    if answer is None:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    os.write(ours, answer.encode())
    output = b""
    try:
        while chunk := os.read(ours, 4096):
            output += chunk
    except OSError:  # how a terminal ends on Linux
        pass
    os.close(ours)
    return process.wait(60), output.decode()


def calls(programs: Path) -> str:
    noted = programs / "calls"
    return noted.read_text() if noted.exists() else ""


INSTALL = "apt_install gcc make || die 'install gcc and make'"


@pytest.mark.parametrize("answer", ["\n", "y\n", "Yes\n"])
def test_at_a_terminal_a_script_asks_before_it_installs(programs: Path, answer: str) -> None:
    code, output = run_lib(programs, INSTALL, answer)
    assert code == 0
    assert "outside the project: apt-get installs gcc make. Go on? [Y/n]" in output
    assert "install --no-install-recommends gcc make" in calls(programs)


def test_a_no_installs_nothing_and_says_what_is_missing(programs: Path) -> None:
    code, output = run_lib(programs, INSTALL, "n\n")
    assert code == 1
    assert "error: install gcc and make" in output
    assert calls(programs) == ""


def test_without_a_terminal_a_script_names_what_it_installs_and_goes_on(programs: Path) -> None:
    code, output = run_lib(programs, INSTALL)
    assert (code, output) == (0, "==> outside the project: apt-get installs gcc make\n")
    assert "install --no-install-recommends gcc make" in calls(programs)


@pytest.mark.slow
def test_a_long_step_shows_how_far_it_is(programs: Path) -> None:
    step = 'run_quietly bash -c "echo Compiling something; sleep 2.5; echo done"'
    code, output = run_lib(programs, f"{step}; say over", "")
    assert code == 0
    # On a busy machine, the second comes late.
    assert re.search("0:0[123] Compiling something", output)
    assert output.endswith("over\r\n")


def test_a_step_that_fails_shows_its_output(programs: Path) -> None:
    code, output = run_lib(programs, "run_quietly bash -c 'echo why; exit 3' || die failed")
    assert (code, output) == (1, "why\nerror: failed\n")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_every_script_says_what_it_does_and_does_nothing(script: Path, programs: Path) -> None:
    done = subprocess.run(
        [script, "--help"],
        env={"PATH": f"{programs}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert len(done.stdout.splitlines()) >= 1
    assert "==>" not in done.stdout
    assert done.stderr == ""
    assert calls(programs) == ""


def test_the_files_that_are_named_decide_what_is_installed(programs: Path) -> None:
    code = 'eval "$(sed -n "/^named()/,/^mention()/p" scripts/test)"\n'
    code += "mapfile -t FILES < <(named {arguments})\n"
    code += "if mention roxies; then echo proxies; fi"
    assert run_lib(programs, code.format(arguments="tests/config/test_config.py -k x")) == (0, "")
    named = code.format(arguments="tests/transports/test_proxies.py")
    assert run_lib(programs, named)[1] == "proxies\n"
    assert run_lib(programs, code.format(arguments="-k proxies"))[1] == "proxies\n"
