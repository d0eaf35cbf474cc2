"""The table of docs/faults.md: which tests show which fault."""
import collections
import re

from conffile import SOURCE

TABLE = SOURCE / "docs" / "faults.md"
TEST = re.compile(r"`([\w/]+)::(\w+)`")
SCRIPT = re.compile(r"`(scripts/[\w-]+)`")

Row = collections.namedtuple("Row", "number text tests line")
Test = collections.namedtuple("Test", "file name")


def file_of(where):
    """The path of "test_drain" or "unit/test_elf"."""
    if where.startswith("unit/"):
        return f"tests/{where}.c"
    return f"tests/{where}.py" if "/" in where else f"tests/system/{where}.py"


def rows():
    """Every row of the table."""
    found = []
    for number, line in enumerate(TABLE.read_text().splitlines(), 1):
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 4 and cells[0].isdigit():
            tests = [Test(file_of(where), name) for where, name in TEST.findall(cells[3])]
            tests += [Test(script, "") for script in SCRIPT.findall(cells[3])]
            found.append(Row(int(cells[0]), cells[1], tests, number))
    return found


def numbers():
    """The rows of each test: {(file, name): [number, ...]}."""
    found = collections.defaultdict(list)
    for row in rows():
        for test in row.tests:
            found[test].append(row.number)
    return found
