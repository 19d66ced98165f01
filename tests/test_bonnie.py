"""Bonnie++'s lines in either format: the columns of `man bon_csv2html` (2.00a).

Where Bonnie++ is installed its own bon_csv2txt reads the 1.98 line too and must see the same figures (2.00a's reads no
older format).
"""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from rtlab.errors import ParseError
from rtlab.experiments.io import bonnie

KIB = 1024
# Format 1.97 (48 fields): a line made by hand, with another figure in every column.
LINE_197 = (
    "1.97,1.97,old,1,1421800799,7424M,,811,91,72850,15,47350,5,912,92,156820,7,537.5,10,16,,,,,1201,21,1202,22,"
    "1203,23,1204,24,1205,25,1206,26,11us,12us,13us,14us,15us,16us,21us,22us,23us,24us,25us,26us"
)
# Format 1.98 (50 fields), by Bonnie++ 2.00a: a published line, its elided end filled in by hand.
LINE_198 = (
    "1.98,2.00a,host,1,1731168315,63G,,8192,5,540,99,745124,100,980550,91,2205,99,1203968,58,+++++,+++,16,,,,,"
    "+++++,+++,+++++,+++,+++++,+++,+++++,+++,+++++,+++,+++++,+++,"
    "16366us,5650us,12027us,4210us,3211us,2201us,301us,102us,203us,104us,35us,206us"
)


def test_format_1_97_has_its_columns_after_the_seventh() -> None:
    assert LINE_197.count(",") + 1 == 48
    result = bonnie.parse(LINE_197 + "\n")

    assert (result.format_version, result.program_version) == ("1.97", "1.97")
    assert result.file_size_bytes == 7424 * KIB * KIB
    assert (result.put_block.value, result.put_block.cpu_percent) == (72850 * KIB, 15)
    assert (result.rewrite.value, result.rewrite.cpu_percent) == (47350 * KIB, 5)
    assert (result.get_block.value, result.get_block.cpu_percent) == (156820 * KIB, 7)
    assert (result.seeks.value, result.seeks.cpu_percent) == (537.5, 10)


def test_format_1_98_has_two_fields_more_and_withholds_what_is_too_fast() -> None:
    assert LINE_198.count(",") + 1 == 50
    result = bonnie.parse(LINE_198)

    assert result.file_size_bytes == 63 * KIB**3
    assert (result.put_block.value, result.put_block.cpu_percent) == (745124 * KIB, 100)
    assert (result.rewrite.value, result.rewrite.cpu_percent) == (980550 * KIB, 91)
    assert (result.get_block.value, result.get_block.cpu_percent) == (1203968 * KIB, 58)
    assert (result.seeks.value, result.seeks.cpu_percent, result.seeks.censored) == (None, None, True)


@pytest.mark.skipif(shutil.which("bon_csv2txt") is None, reason="bonnie++ is missing")
def test_bonnies_own_converter_sees_the_same_figures() -> None:
    table = subprocess.run(["bon_csv2txt"], input=LINE_198 + "\n", capture_output=True, text=True, check=True).stdout
    row = next(line for line in table.splitlines() if line.startswith("host "))
    shown = re.findall(r"([\d.]+)([kmg]) +(\d+)", row)
    powers = {"k": KIB, "m": KIB**2, "g": KIB**3}

    result = bonnie.parse(LINE_198)
    # putc, put_block, rewrite, getc (printed without a space before), get_block, by its printed precision.
    for rate, (number, unit, cpu) in zip(
        (result.put_block, result.rewrite, result.get_block), (shown[1], shown[2], shown[-1]), strict=True
    ):
        assert rate.value == pytest.approx(float(number) * powers[unit], rel=0.05)
        assert rate.cpu_percent == float(cpu)


def test_a_test_that_was_not_run_is_neither_nought_nor_censored() -> None:
    fields = LINE_198.split(",")
    fields[17] = fields[18] = ""
    assert bonnie.parse(",".join(fields)).get_block == bonnie.Rate(value=None, cpu_percent=None, censored=False)


def test_the_cpu_column_alone_may_be_withheld() -> None:
    fields = LINE_198.split(",")
    fields[12] = "+++"
    rate = bonnie.parse(",".join(fields)).put_block
    assert (rate.value, rate.cpu_percent, rate.censored) == (745124 * KIB, None, False)


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [("2G", 2 * KIB**3), ("512M", 512 * KIB**2), ("300", 300 * KIB**2), ("2g:8k", 2 * KIB**3), ("16m", 16 * KIB**2)],
)
def test_sizes_of_the_file(text: str, size_bytes: int) -> None:
    fields = LINE_198.split(",")
    fields[5] = text
    assert bonnie.parse(",".join(fields)).file_size_bytes == size_bytes


def test_words_around_the_line_do_not_matter() -> None:
    assert bonnie.parse(f"Using uid:0, gid:0.\n\n{LINE_198}\n") == bonnie.parse(LINE_198)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Can't write block.: No space left on device\n",
        LINE_197[: len(LINE_197) // 2],
        LINE_197.rsplit(",", 1)[0],
        LINE_197.replace("1.97,1.97", "1.98,2.00a"),
        LINE_198.replace("1.98,2.00a", "1.97,1.97"),
        LINE_197 + "\n" + LINE_197,
        LINE_197 + "\n" + LINE_198,
        LINE_198.replace("745124", "74x124"),
        LINE_198.replace("745124", "inf"),
        LINE_198.replace("745124", "++745"),
        LINE_198.replace("745124,100", "745124,many"),
        LINE_198.replace("745124,100", "745124,"),
        LINE_198.replace("63G", "63Q"),
        LINE_198.replace("63G", "-1G"),
    ],
    ids=lambda text: repr(text)[:30],
)
def test_anything_else_is_a_parse_error_that_shows_the_line(text: str) -> None:
    with pytest.raises(ParseError) as caught:
        bonnie.parse(text)
    assert caught.value.line == "" or caught.value.line in text
