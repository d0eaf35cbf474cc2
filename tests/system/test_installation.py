"""`cmake --install`: what it leaves, and that what it leaves works where it lies."""
import pathlib
import re
import shutil
import subprocess

import pytest

from harness import BUILD

CMAKE = shutil.which("cmake")


def cached(name):
    for line in (BUILD / "CMakeCache.txt").read_text().splitlines():
        if line.startswith(name + ":"):
            return line.partition("=")[2]
    return None


@pytest.fixture(name="prefix")
def _prefix(tmp_path):
    install(tmp_path / "p")
    return tmp_path / "p"


def install(prefix):
    subprocess.run([CMAKE, "--install", str(BUILD), "--prefix", str(prefix)], check=True,
                   stdout=subprocess.PIPE, timeout=60)


def test_installed_configuration_serves_nothing(prefix):
    result = subprocess.run([prefix / "sbin" / "handlerd", "-t", "-c",
                             prefix / "etc" / "handlerd" / "handlerd.conf"],
                            capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr
    assert "good: 0 listeners" in result.stdout + result.stderr
    assert (prefix / "etc" / "handlerd" / "listeners.d").is_dir()


def test_example_of_the_configuration_is_good(prefix):
    """What its comments tell to begin with."""
    lines = (prefix / "etc" / "handlerd" / "handlerd.conf").read_text().splitlines()
    begin = next(i for i, line in enumerate(lines) if line.startswith("//\tlisteners = ("))
    end = next(i for i, line in enumerate(lines) if i > begin and line.startswith("//\t);"))
    (prefix / "etc" / "handlerd" / "listeners.d" / "echo.conf").write_text(
        "\n".join(line[3:] for line in lines[begin:end + 1]) + "\n")
    result = subprocess.run([prefix / "sbin" / "handlerd", "-t", "-c",
                             prefix / "etc" / "handlerd" / "handlerd.conf"],
                            capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr
    assert "good: 1 listener" in result.stdout + result.stderr


def test_configuration_that_is_there_stays(prefix):
    configuration = prefix / "etc" / "handlerd" / "handlerd.conf"
    configuration.write_text("// mine\nlisteners = ();\n")
    install(prefix)
    assert configuration.read_text() == "// mine\nlisteners = ();\n"


@pytest.mark.parametrize("unit", ["handlerd.service", "handlerd@.service"])
def test_unit_names_the_programs_of_its_installation(prefix, unit):
    text = (prefix / "lib" / "systemd" / "system" / unit).read_text()
    built_for = cached("CMAKE_INSTALL_PREFIX")
    assert re.search(rf"^ExecStart={built_for}/sbin/handlerd( |$)", text, re.M)
    assert re.search(rf"^ExecReload={built_for}/bin/handlerctl reload$", text, re.M)
    # code comes from there and from nowhere that can be written to
    executable = re.search(r"^ExecPaths=(.*)$", text, re.M)[1].split()
    assert {f"{built_for}/sbin", f"{built_for}/bin", f"{built_for}/libexec/handlerd",
            "/usr/lib"} <= set(executable)
    assert re.search(r"^BindReadOnlyPaths=(.*)$", text, re.M)[1].split() == executable
    assert not re.search(r"@[A-Z_]+@", text)


def test_units_differ_in_paths_only(prefix):
    directory = prefix / "lib" / "systemd" / "system"
    service, instance = ([line for line in (directory / unit).read_text().splitlines()
                          if line and line[0] not in "#["]
                         for unit in ("handlerd.service", "handlerd@.service"))
    own = ("Description=", "Environment=HANDLERD_CONTROL=", "ExecStart=")
    same = [line for line in service if not line.startswith(own)]
    assert same == [re.sub(r"handlerd-%i", "handlerd", line) for line in instance
                    if not line.startswith(own)]


def test_gdb_finds_its_script_by_the_name_of_the_worker(prefix):
    script, = (prefix / "share" / "gdb" / "auto-load").rglob("*-gdb.py")
    program = str(script).partition("/auto-load")[2].removesuffix("-gdb.py")
    assert program == str(pathlib.Path(cached("CMAKE_INSTALL_PREFIX"), "libexec", "handlerd",
                                       "handlerd-worker"))
