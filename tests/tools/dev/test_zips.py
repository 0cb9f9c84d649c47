"""The zips of the Lambda functions."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from lambdas.fingerprint import fingerprint
from rts_server.tools.dev import zips
from rts_server.tools.dev.stack_error import StackError


@pytest.fixture(scope="module")
def packed() -> dict[str, bytes]:
    return zips.build()


def entries(data: bytes) -> list[zipfile.ZipInfo]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return archive.infolist()


def run_isolated(path: Path, code: str) -> str:
    """Run code with the standard library and one zip or folder on the path."""
    start = f"import sys; sys.path.insert(0, {str(path)!r}); "
    run = [sys.executable, "-I", "-S", "-c", start + code]
    return subprocess.run(run, capture_output=True, text=True, check=True).stdout.strip()


def test_builds_are_reproducible(packed: dict[str, bytes]) -> None:
    """Two builds give the same bytes, with sorted names and one fixed time."""
    assert zips.build() == packed
    for data in packed.values():
        names = [entry.filename for entry in entries(data)]
        assert names == sorted(set(names))
        assert {entry.date_time for entry in entries(data)} == {zips.FIXED_TIME}


def test_a_zip_holds_pure_python_and_only_what_its_handler_needs(packed: dict[str, bytes]) -> None:
    """A zip holds nothing compiled, and of this project only the records and its own handler."""
    for function, package in zips.FUNCTION_MODULES.items():
        names = [entry.filename for entry in entries(packed[function])]
        assert not [name for name in names if name.endswith((".so", ".pyd", ".pyc", ".dylib"))]
        ours = {name for name in names if name.startswith("rts_server/")}
        records = {name for name in ours if name.startswith(zips.RECORDS)}
        assert ours - records == set(zips.SHARED_SOURCES)
        assert f"{zips.RECORDS}/watermarks.py" in records
        other = next(each for each in zips.FUNCTION_MODULES.values() if each != package)
        assert f"lambdas/{package}/handler.py" in names
        assert f"lambdas/{other}/handler.py" not in names


def test_records_import_without_other_packages(packed: dict[str, bytes], tmp_path: Path) -> None:
    """The records import from each zip with nothing else on the path, and without boto3."""
    for function, data in packed.items():
        path = tmp_path / f"{function}.zip"
        path.write_bytes(data)
        code = (
            "import rts_server.persistence.records as r; print(r.__file__, 'boto3' in sys.modules)"
        )
        assert (
            run_isolated(path, code) == f"{path}/rts_server/persistence/records/__init__.py False"
        )


def test_a_function_computes_the_fingerprint_of_its_zip(
    packed: dict[str, bytes], tmp_path: Path
) -> None:
    """The fingerprint computed from a zip equals the one that its code computes at run time."""
    for function, data in packed.items():
        root = tmp_path / function
        zipfile.ZipFile(io.BytesIO(data)).extractall(root)
        code = "from lambdas.fingerprint import fingerprint; print(fingerprint())"
        assert run_isolated(root, code) == zips.fingerprint(data) == fingerprint(root)


def test_a_compiled_dependency_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dependency with a compiled file is an error that names the file."""
    about = tmp_path / "native-1.dist-info"
    about.mkdir()
    (tmp_path / "native").mkdir()
    (tmp_path / "native" / "fast.cpython-311.so").touch()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: native\nVersion: 1\n")
    (about / "RECORD").write_text("native/fast.cpython-311.so,,\nnative-1.dist-info/METADATA,,\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(zips, "DISTRIBUTIONS", ("native",))
    with pytest.raises(StackError, match=r"fast\.cpython-311\.so is compiled"):
        zips.build()


def test_a_missing_source_is_named(tmp_path: Path) -> None:
    """A tree without the handlers is an error, not an empty zip."""
    with pytest.raises(StackError, match=r"missing: .*records\.py|missing: .*__init__\.py"):
        zips.build(tmp_path)
