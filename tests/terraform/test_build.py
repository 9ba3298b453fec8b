"""What build.py makes: the same bytes everywhere, small, and nothing but the package."""

from __future__ import annotations

import ast
import importlib.util
import io
import os
import shutil
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terraform_tools import TREE

if TYPE_CHECKING:
    from types import ModuleType

LAMBDA_SRC = TREE / "lambda_src"
OTHER_PYTHONS = ["python3.11", "python3.12", "python3.13", "python3.14"]


@pytest.fixture(scope="module")
def builder() -> ModuleType:
    return load(LAMBDA_SRC / "build.py")


def load(script: Path) -> ModuleType:
    """A script as a module."""
    spec = importlib.util.spec_from_file_location(script.stem, script)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A copy of the sources, elsewhere and with other times."""
    copy = tmp_path / "elsewhere" / "lambda_src"
    shutil.copytree(LAMBDA_SRC, copy, ignore=shutil.ignore_patterns("__pycache__", "dist", "*.egg-info"))
    for path in copy.rglob("*"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    return copy


def build(script: Path, output: Path, python: str = sys.executable) -> bytes:
    subprocess.run([python, script, output], check=True, capture_output=True)
    return output.read_bytes()


def python(name: str) -> str | None:
    """A Python that runs, by its name (a version manager may have a command for one that is not there)."""
    found = shutil.which(name)
    if found and subprocess.run([found, "-c", ""], check=False, capture_output=True).returncode == 0:
        return found
    managed = sorted(Path.home().glob(f".pyenv/versions/{name.removeprefix('python')}.*/bin/python3"))
    return str(managed[-1]) if managed else None


def test_same_bytes_from_a_copy_with_other_times(sources: Path, tmp_path: Path) -> None:
    assert build(sources / "build.py", tmp_path / "a.zip") == build(LAMBDA_SRC / "build.py", tmp_path / "b.zip")


@pytest.mark.parametrize("name", OTHER_PYTHONS)
def test_same_bytes_from_another_python(name: str, tmp_path: Path) -> None:
    other = python(name)
    if not other:
        pytest.skip(f"{name} is not on this machine")

    assert build(LAMBDA_SRC / "build.py", tmp_path / "a.zip", other) == build(
        LAMBDA_SRC / "build.py", tmp_path / "b.zip"
    )


def test_other_bytes_from_other_sources(sources: Path, tmp_path: Path) -> None:
    before = build(sources / "build.py", tmp_path / "a.zip")
    (sources / "ecr_cleanup/settings.py").write_text("changed = True\n")

    assert build(sources / "build.py", tmp_path / "b.zip") != before


def test_holds_every_module_as_it_is_and_nothing_else(sources: Path, tmp_path: Path) -> None:
    expected = {
        path.relative_to(sources).as_posix(): path.read_bytes() for path in sources.rglob("ecr_cleanup/**/*.py")
    }
    expected = {
        name: content
        for name, content in expected.items()
        if not name.startswith(("ecr_cleanup/cli/", "ecr_cleanup/page/"))
    }
    for name in ("cli/main.py", "__pycache__/settings.cpython-313.pyc", "notes.txt", "py.typed"):
        (sources / "ecr_cleanup" / name).parent.mkdir(exist_ok=True)
        (sources / "ecr_cleanup" / name).write_text("nothing for Lambda")

    with zipfile.ZipFile(io.BytesIO(build(sources / "build.py", tmp_path / "a.zip"))) as package:
        assert package.testzip() is None
        assert package.namelist() == sorted(expected)
        contents = {name: package.read(name) for name in package.namelist()}
        assert {name: meaning(content) for name, content in contents.items()} == {
            name: meaning(content) for name, content in expected.items()
        }
        assert {entry.external_attr >> 16 for entry in package.infolist()} == {0o100644}, "Lambda could not read it"


def meaning(source: bytes) -> str:
    """What a module does, line by line, without the strings that only explain."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            node.value = ast.Constant("", lineno=node.lineno, col_offset=0)
        if isinstance(node, ast.stmt | ast.ExceptHandler | ast.match_case):
            # Where something ends that ends in such a string.
            vars(node).pop("end_lineno", None)
            vars(node).pop("end_col_offset", None)
    return ast.dump(tree, include_attributes=True)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('"""What it is."""\nx = 1\n', '""\nx = 1\n'),
        ('"""What it is,\n\nat length.\n"""  # not\nx = 1\n', '""\n\n\n\nx = 1\n'),
        ("x = 1  # why\n# more\ny = '#'\n", "x = 1\n\ny = '#'\n"),
        ('def f():\n    """ä ö"""\n    return "# no comment"\n', 'def f():\n    ""\n    return "# no comment"\n'),
        ('x = (\n    "a"\n    "b"\n)\n"of x"\n', 'x = (\n    "a"\n    "b"\n)\n""\n'),
        ('f(\n    """an argument"""\n)\n', 'f(\n    """an argument"""\n)\n'),
    ],
)
def test_leaves_out_what_only_explains(builder: ModuleType, source: str, expected: str) -> None:
    bare: bytes = builder.bare(source.encode())

    assert bare.decode() == expected
    assert meaning(bare) == meaning(source.encode())


def test_is_under_100_kilobytes(tmp_path: Path) -> None:
    assert len(build(LAMBDA_SRC / "build.py", tmp_path / "a.zip")) < 100_000


def test_replaces_an_earlier_package_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    output = tmp_path / "dist/package.zip"
    output.parent.mkdir()
    output.write_text("earlier")

    build(LAMBDA_SRC / "build.py", output)

    assert zipfile.is_zipfile(output)
    assert list(output.parent.iterdir()) == [output]


@given(st.binary(max_size=3000) | st.text("ab\n", max_size=3000).map(str.encode))
def test_what_is_compressed_can_be_decompressed(data: bytes) -> None:
    deflated: bytes = load(LAMBDA_SRC / "build.py").deflated(data)

    assert zlib.decompress(deflated, wbits=-15) == data


def test_finds_matches_as_far_and_as_long_as_the_format_can_say(builder: ModuleType) -> None:
    # Every distance and length code at its first and last value, and noise that matches nothing in between.
    noise = bytes((i * i * 7 + i // 3) % 251 for i in range(33_000))
    data = noise + b"x" * 600 + noise[:257] + noise[-32_767:-32_000] + noise[:3]

    compressed: bytes = builder.deflated(data)

    assert zlib.decompress(compressed, wbits=-15) == data
    assert len(compressed) < len(data)


def test_says_what_is_wrong(builder: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("not a directory")

    assert builder.main([]) == 2
    assert builder.main([str(tmp_path / "file" / "package.zip")]) == 1

    usage, error = capsys.readouterr().err.splitlines()
    assert usage.startswith("usage:")
    assert error.startswith(f"The package of the Lambda functions could not be built as {tmp_path}/file/package.zip")


def test_says_that_there_are_no_sources(sources: Path, tmp_path: Path) -> None:
    shutil.rmtree(sources / "ecr_cleanup")

    ended = subprocess.run(
        [sys.executable, sources / "build.py", tmp_path / "a.zip"], check=False, capture_output=True, text=True
    )

    assert ended.returncode == 1
    assert "there are no Python files in" in ended.stderr
    assert not (tmp_path / "a.zip").exists()
