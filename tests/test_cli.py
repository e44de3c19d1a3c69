"""The command line, run as a person runs it."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from deident import __version__
from deident.cli import COMMANDS, parser_of
from deident.cli.policy import policy_of
from deident.cli.preview import _disguises
from deident.disguise import DISGUISES, Chain, Method
from deident.disguise.mcadams import McAdams
from deident.disguise.presets import PRESETS
from deident.disguise.psola import Psola
from deident.disguise.settings import settings
from deident.disguise.strength import measured as strength_of
from deident.disguise.vocoder import Vocoder
from deident.errors import StoreError
from deident.keys import Key
from deident.policy import Policy
from deident.runs.commit import pseudonym
from deident.store import Disk, FolderStore

ROOT = Path(__file__).parents[1]
Command = Callable[..., CompletedProcess[str]]


def process(*arguments: str | Path, **environment: str) -> CompletedProcess[str]:
    """`deident` in a process of its own. For what a process does by itself; else the fixture does."""
    path = os.pathsep.join([str(ROOT), *sys.path])
    return subprocess.run(
        [sys.executable, "-m", "deident", *map(str, arguments)],
        capture_output=True, text=True, check=False, errors="surrogateescape",
        env={**os.environ, "PYTHONPATH": path, **environment},
    )  # fmt: skip


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)])
def test_help_explains(command: list[str]) -> None:
    result = process(*command, "--help")
    assert result.returncode == 0
    assert "usage: deident" in result.stdout
    assert len(result.stdout.splitlines()) > 5


def test_help_loads_no_numpy() -> None:
    code = "import sys, deident.cli as c\ntry: c.main(['run', '--help'])\nexcept SystemExit: pass\n"
    result = subprocess.run(
        [sys.executable, "-c", code + "print(sorted({'numpy', 'scipy', 'soundfile'} & set(sys.modules)))"],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    assert result.stdout.strip().endswith("[]")


def test_a_terminal_of_another_encoding_is_no_reason_to_fail(recordings: Path, tmp_path: Path) -> None:
    result = process("run", recordings / "call.wav", "--out", tmp_path / "s", PYTHONIOENCODING="ascii")
    assert (result.returncode, result.stderr) == (0, "")
    assert r"\xd7 real time" in result.stdout


@pytest.mark.parametrize("closed", ["<&- >&- 2>&-", ">&-", "2>&-"])
def test_closed_streams_are_no_reason_to_fail(recordings: Path, tmp_path: Path, closed: str) -> None:
    """Nor does a file get the number of one: what a library says there would go into it."""
    (tmp_path / "text.wav").write_text("no sound")
    command = f'"$0" -m deident run "$1" "$2" --out "$3" --jobs 1 {closed}'
    words = sys.executable, recordings / "call.wav", tmp_path / "text.wav", tmp_path / "s"
    path = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    assert subprocess.run(["bash", "-c", command, *words], env=path, check=False).returncode == 1
    assert (
        subprocess.run([sys.executable, "-m", "deident", "audit", words[3]], env=path, check=False).returncode
        == 0
    )
    child = "import os; print(os.open(os.devnull, os.O_RDONLY), file=open(3, 'w', closefd=False), flush=True)"
    look = f"import subprocess, sys, deident.cli as c; c.main(['completion', 'bash']); {child}; "
    look += f"subprocess.run([sys.executable, '-c', {child!r}], pass_fds=[3])"
    said = subprocess.run(["bash", "-c", f'"$0" -c "$1" 3>&1 {closed}', sys.executable, look], env=path,
                          capture_output=True, text=True, check=False)  # fmt: skip
    own, childs = map(
        int, re.findall(r"^\d+$", said.stdout, re.MULTILINE)
    )  # before or after what was buffered
    assert own > 2
    assert childs > 2


def test_run_tells_what_it_did(recordings: Path, tmp_path: Path) -> None:
    result = process("run", recordings, "--out", tmp_path / "s", "--jobs", "1")
    assert result.returncode == 0, result.stderr
    assert re.search(r"recordings +3: 3 released", result.stdout)
    assert re.search(r"released +\d+ snippets", result.stdout)
    assert "real time" in result.stdout
    again = process("run", recordings, "--out", tmp_path / "s", "--json", "--quiet")
    assert again.returncode == 0
    assert again.stderr == ""
    assert json.loads(again.stdout)["states"]["skipped"] == 3
    audit = process("audit", tmp_path / "s")
    assert audit.returncode == 0, audit.stdout + audit.stderr


def test_messages_name_recordings_by_pseudonym_only(deident: Command, tmp_path: Path) -> None:
    bad = tmp_path / "canary.wav"
    bad.write_text("canary text")
    store = tmp_path / "s"
    result = deident("run", bad, "--out", store)
    assert result.returncode == 1
    assert "canary" not in result.stdout + result.stderr
    found = re.search(r"recording ([0-9a-f]{12}): refused \(([a-z-]+)\): ", result.stderr)
    assert found
    which = deident("which", found[1], tmp_path / "canary.wav", "--store", store)
    assert which.stdout.strip() == str(bad)
    assert deident("which", "0" * 12, bad, "--store", store).returncode == 1
    shown = deident("run", bad, "--out", store, "--show-paths")
    assert str(bad) in shown.stderr
    data = json.loads(deident("run", bad, "--out", store, "--json").stdout)
    assert data["problems"][0]["state"] == "refused"
    assert data["fine"] is False


def test_a_path_of_any_bytes_is_printed(tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"na\xefve.wav")
    odd.touch()
    with FolderStore(tmp_path / "s") as store:
        id = pseudonym(store.key, str(odd))
    told = process("which", id, odd, "--store", tmp_path / "s", PYTHONIOENCODING="utf-8:strict")
    assert told.stdout == f"{odd}\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "x.wav"], "--out"),
        (["run", "--out", "s"], "expected recordings"),
        (
            ["run", "x.wav", "--out", "s", "--disguise", "none"],
            f"of {', '.join(DISGUISES)}, or",
        ),
        (["run", "x.wav", "--out", "s", "--disguise", "review"], "give it as --preset review"),
        (
            ["run", "x.wav", "--out", "s", "--disguise", "psola:semitones=3"],
            "expected semitones as (lower, upper)",
        ),
        (["run", "x.wav", "--out", "s", "--disguise", "mine:Robot"], "package.module:NAME"),
        (["run", "x.wav", "--out", "s", "--disguise", "psola,mcadams"], "a+b applies two in turn"),
        (["run", "x.wav", "--out", "s", "--disguise", "psola+review"], "give it as --preset review"),
        (["run", "x.wav", "--out", "s", "--disguise", "psola+none"], "expected a disguise of"),
        (["run", "x.wav", "--keyfile", "key"], "did you mean --key-file?"),
        (["run", "x.wav", "--bogus"], "not understood: --bogus\n"),
        ([], "; `deident demo` shows what it does"),
        (["--verson"], "did you mean --version?"),
        (["--quiet", "run"], "not understood: --quiet"),
        (["runn", "x.wav"], "did you mean run?"),
        (["secret/calls", "--out", "s"], "expected a command of run, preview"),
        (["run", "x.wav", "--out", "s", "--max_seconds", "8"], "did you mean --max-seconds?"),
        (["run", "x.wav", "--out", "s", "--chanels", "split"], "did you mean --channels?"),
        (["audit", "s", "--quik"], "did you mean --quick?"),
        (["run", "x.wav", "--out", "s", "--preset", "vocoder"], "give it as disguise, or --disguise vocoder"),
        (["run", "x.wav", "--out", "s", "--preset", "trainig"], "did you mean training?"),
        (["run", ".", "--out", "s"], "got folders without any sound file"),
        (["run", "x.wav", "--out", "s", "--preset", "none"], "expected a preset"),
        (["run", "x.wav", "--out", "s", "--mute", "none.json"], "--mute: the file cannot be read"),
        (["run", "x.wav", "--out", "s", "--max-seconds", "0"], "max_seconds"),
        (["run", "x.wav", "--out", "s", "--channels", "left"], "channels"),
        (["run", "x.wav", "--out", "s", "--jobs", "0"], "--jobs"),
        (["run", "x.wav", "--out", "s", "--repeatable"], "keygen"),
        (["run", "x.wav", "--out", "s", "--key-file", "none"], "key file"),
        (["run", "x.wav", "--out", "s", "--carry", "a"], "--table"),
        (["run", "x.wav", "--out", "s", "--policy", "none.toml"], "policy file"),
        (["run", "x.wav", "--out", "s", "--segments", "a.rttm", "--turns", "b.rttm"], "either"),
        (["run", "x.wav", "--out", "s", "--key-file", "key", "--linkage", "s/links"], "outside the store"),
        (["run", "x.wav", "--out", "s", "--key-file", "key", "--linkage", "no/links"], "make it first"),
        (["run", "x.wav", "--out", ".", "--report", "r.html"], "outside the store"),
    ],
)
def test_wrong_calls_teach(
    arguments: list[str], said: str, deident: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Key(bytes(32)).write("key")
    Path("x.wav").touch()
    if "." in arguments[:2]:
        Path("x.wav").unlink()
    result = deident(*arguments)
    assert result.returncode == 2
    assert said in result.stderr
    assert "Traceback" not in result.stderr
    assert "secret" not in result.stderr
    assert len(result.stderr.splitlines()) <= 2  # one of usage, one that says what is wrong
    assert not (tmp_path / "s").exists()


def test_a_key_comes_from_file_or_environment(
    deident: Command, recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert deident("keygen", tmp_path / "key").returncode == 0
    digits = (tmp_path / "key").read_text().strip()
    base = ["run", recordings / "call.wav", "--repeatable", "--jobs", "1"]
    by_file = deident(*base, "--out", tmp_path / "one", "--key-file", tmp_path / "key")
    monkeypatch.setenv("DEIDENT_KEY", digits)
    by_variable = deident(*base, "--out", tmp_path / "two")
    assert by_file.returncode == by_variable.returncode == 0
    one, two = ((tmp_path / n / "manifest.jsonl").read_bytes() for n in ("one", "two"))
    assert one == two != b""
    assert digits not in by_file.stdout + by_file.stderr + by_variable.stdout + by_variable.stderr
    monkeypatch.setenv("DEIDENT_KEY", "0" * 64)
    wrong = deident(*base, "--out", tmp_path / "one")
    assert wrong.returncode == 2
    assert "not the key" in wrong.stderr


def test_demo_makes_a_clean_store(deident: Command, tmp_path: Path) -> None:
    result = deident("demo", "--out", tmp_path / "demo")
    assert result.returncode == 0, result.stderr
    assert str(tmp_path / "demo") in result.stdout
    assert list((tmp_path / "demo").rglob("*.wav"))


def test_segments_and_split_channels(deident: Command, recordings: Path, tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("recording,start,stop\ncall,1.0,3.0\ncall,9.0,11.5\n")
    result = deident(
        "run", recordings / "call.wav", "--out", tmp_path / "s", "--segments", tmp_path / "s.csv",
        "--channels", "split", "--format", "flac", "--json",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    data = json.loads(result.stdout)
    assert data["snippets"] == 4
    assert data["speech_seconds"] == pytest.approx(9.0)
    assert len(list((tmp_path / "s").glob("*.flac"))) == 4


def test_nothing_is_made_inside_a_store(
    recordings: Path, tmp_path: Path, deident: Callable[..., CompletedProcess[str]]
) -> None:
    """The next command is shown with the limit of the run."""
    store, key = tmp_path / "s", tmp_path / "key"
    assert deident("keygen", key).returncode == 0
    linked = "--linkage", tmp_path / "links", "--key-file", key
    done = deident("run", recordings, "--out", store, "--max-seconds", "6", "--jobs", "1", *linked)
    assert done.stdout.endswith(f"deident audit {store} --max-seconds 6\n")
    before = sorted(store.rglob("*"))
    for command in (
        ("export", store, "--to", "nemo", "--out", store / "data"),
        ("review", store, "--out", store / "round", "--reviewers", "1", *linked),
        ("preview", recordings / "call.wav", "--out", store / "page.html"),
    ):
        ended = deident(*command)
        assert (ended.returncode, "must lie outside" in ended.stderr) == (2, True), command[0]
    assert sorted(store.rglob("*")) == before
    assert deident("audit", store, "--max-seconds", "6").returncode == 0


def test_a_table_without_rows_and_an_erasure_without_a_match_say_so(
    recordings: Path, tmp_path: Path, deident: Callable[..., CompletedProcess[str]]
) -> None:
    table, store, key = tmp_path / "t.csv", tmp_path / "s", tmp_path / "key"
    table.write_text("path,speaker\n")
    assert "a table without rows" in deident("run", "--table", table, "--out", store).stderr
    deident("keygen", key)
    linked = "--linkage", tmp_path / "links", "--key-file", key
    deident("run", recordings / "reading.mp3", "--out", store, *linked)
    ended = deident("erase", store, "--source", tmp_path / "none.wav", *linked)
    assert (ended.returncode, "nothing in the linkage matches" in ended.stderr) == (1, True)


@pytest.mark.parametrize(
    ("command", "package", "extra"),
    [
        (["evaluate", "--statistics", "--out", "made"], "matplotlib", "evaluate"),
        (["export", "nothing-here", "--to", "parquet", "--out", "made"], "pyarrow", "interop"),
        (["run", "x.wav", "--out", "made", "--dask", "local"], "distributed", "dask"),
        (["run", "x.wav", "--out", "s3://bucket/made"], "fsspec", "dask"),
    ],
)
def test_a_missing_extra_is_named_before_any_work(
    command: list[str],
    package: str,
    extra: str,
    deident: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, package, None)
    (tmp_path / "x.wav").touch()
    result = deident(*command)
    assert result.returncode == 2
    assert f"pip install 'deident[{extra}]'" in result.stderr
    assert os.listdir(tmp_path) == ["x.wav"]


def test_a_chain_is_two_methods_in_turn(deident: Command) -> None:
    """`a+b` is a chain on the command line and in a policy file."""
    parser = parser_of(["run"])
    args = parser.parse_args(["run", "x.wav", "--disguise", "psola:semitones=2..4+mcadams"])
    named = policy_of(args).disguise
    assert named == Chain((Psola(semitones=(2, 4)), McAdams()))
    assert Policy.from_mapping({"disguise": "psola+mcadams"}).disguise == Chain((Psola(), McAdams()))
    assert set(disguises_of(["preview", "x.wav", "--disguise", "psola+mcadams,vocoder"])) == {
        "psola+mcadams",
        "vocoder",
    }


def disguises_of(words: list[str]) -> dict[str, Method[Any]]:
    return _disguises(parser_of(["preview"]).parse_args(words), Vocoder())


def test_a_full_disk_is_no_reason_to_begin_again(
    deident: Command, recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, room = Disk.write, [3]

    def filling(self: Disk, descriptor: int, data: bytes) -> None:
        room[0] -= 1
        if room[0] < 0:
            raise StoreError("writing to the store failed: No space left on device", "disk-full")
        write(self, descriptor, data)

    command = ("run", recordings / "call.wav", "--out", tmp_path / "s", "--jobs", "1", "--quiet")
    monkeypatch.setattr(Disk, "write", filling)
    result = deident(*command)
    assert result.returncode == 4
    assert "No space left on device; free some space, and the same command goes on" in result.stderr
    monkeypatch.undo()
    assert deident(*command).returncode == 0


def test_methods_lists_every_setting_and_what_it_protects(deident: Command) -> None:
    said = deident("methods").stdout
    for name, kind in DISGUISES.items():
        assert f"\n{name}\n" in f"\n{said}"
        for setting in settings(kind):
            assert re.search(
                rf"  {setting.name} +{re.escape(setting.bounds)} .*{re.escape(setting.meaning)}", said
            )
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = readme.partition("<!-- strength -->\n")[2].partition("<!-- end of strength -->")[0]
    head, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines())
    measured = {row[0]: row[1:] for row in rows}
    assert measured.keys() & DISGUISES.keys()
    for name in measured.keys() & (DISGUISES.keys() | PRESETS.keys()):
        values = "\n".join(
            f"    {column}: {value}" for column, value in zip(head[1:], measured[name], strict=True)
        )
        assert f"  measured, {name}:\n{values}\n" in said
    one = deident("methods", "psola").stdout
    assert one.startswith("psola\n")
    assert "vocoder" not in one
    wrong = deident("methods", "vocodr")
    assert wrong.returncode == 2
    assert "did you mean vocoder?" in wrong.stderr


@pytest.mark.parametrize("name", PRESETS)
def test_methods_explains_a_preset(name: str, deident: Command) -> None:
    said = deident("methods", name).stdout
    preset = PRESETS[name]
    assert said.startswith(f"{name}\n  vocoder, one voice a {preset.scope}\n")
    changed = re.findall(r"^    (\w+) [\d.to ]+, in place of ", said, re.M)
    assert Vocoder(**{key: getattr(preset.disguise, key) for key in changed}) == preset.disguise
    assert (f"  measured, {name}:\n" in said) == bool(strength_of(name))
    assert said.endswith("  deident methods vocoder   explains the settings\n")


def test_a_log_may_be_json_lines(deident: Command, recordings: Path, tmp_path: Path) -> None:
    folder = tmp_path / "canary"
    folder.mkdir()
    (folder / "call.wav").write_bytes((recordings / "call.wav").read_bytes())
    (folder / "text.wav").write_text("no audio")
    result = deident("run", folder, "--out", tmp_path / "s", "--jobs", "1", "--log", "json", "--json")
    assert result.returncode == 1
    events = [json.loads(line) for line in result.stderr.splitlines()]
    assert [event["event"] for event in events if event["event"] != "progress"] == ["start", "problem", "end"]
    policy = Policy().fingerprint()
    assert {(event["version"], event["policy"]) for event in events} == {(__version__, policy)}
    (problem,) = (event for event in events if event["event"] == "problem")
    assert (problem["state"], problem["code"]) == ("refused", "not-audio")
    summary = json.loads(result.stdout)
    assert (summary["version"], summary["policy"]) == (__version__, policy)
    assert events[-1]["states"] == summary["states"]
    assert "canary" not in result.stderr + result.stdout
    failed = deident("run", folder, "--out", tmp_path / "s", "--log", "json", "--repeatable")
    assert failed.returncode == 2
    *_, error = map(json.loads, failed.stderr.splitlines())
    assert (error["event"], error["code"]) == ("error", 2)
    assert "keygen" in error["message"]


def test_a_refusal_names_the_command_that_finds_its_recording(deident: Command, tmp_path: Path) -> None:
    odd = tmp_path / "odd.wav"
    odd.write_text("no audio")
    result = deident("run", odd, "--out", tmp_path / "s", "--jobs", "1")
    (line,) = (line for line in result.stdout.splitlines() if "deident which" in line)
    words = line.partition("deident which")[2].split()
    found = deident("which", words[0], odd, *words[2:4])
    assert found.stdout == f"{odd}\n"
