"""Tables, JSON, amounts."""

import json

import pytest

from cli.errors import CommandError, ExitCode, Refused, Unreachable, Unusable
from cli.output import eur, print_fields, print_json, print_table, printable


@pytest.mark.parametrize(
    ("units", "text"),
    [
        (0, "0.0000"),
        (150_000_000, "1.5000"),
        (4_999, "0.0000"),
        (5_000, "0.0001"),
        (-5_000, "-0.0001"),
        (-12_345_678_901, "-123.4568"),
        (10**18, "10000000000.0000"),
    ],
)
def test_money_in_euros(units, text):
    assert eur(units) == text


def test_json_has_bytes_in_hex_and_keys_in_order(capsys):
    print_json({"b": b"\x01\xff", "a": (1, None), "n": 2**200})
    assert json.loads(capsys.readouterr().out) == {"b": "0x01ff", "a": [1, None], "n": 2**200}
    with pytest.raises(TypeError, match="no JSON form"):
        print_json({"x": object()})


def test_an_empty_table_says_so(capsys):
    print_table("Things", ("a", "b"), [])
    assert "(none)" in capsys.readouterr().out


def test_fields_stand_under_each_other(capsys):
    print_fields("Title", {"a": 1, "longer": b"\x02"})
    assert capsys.readouterr().out.split("\n")[1:3] == ["  a       1", "  longer  0x02"]


def test_each_error_has_its_exit_code(capsys):
    codes = [kind("x").exit_code for kind in (CommandError, Unusable, Unreachable, Refused)]
    assert codes == [ExitCode.FAILED, ExitCode.USAGE, ExitCode.UNREACHABLE, ExitCode.REFUSED]
    Unusable("what", "do this").show()
    assert capsys.readouterr().err == "Error: what\n  do this\n"


def test_texts_of_the_chain_cannot_steer_the_terminal(capsys):
    """Neither by control characters, nor by the signs that rich reads."""
    hostile = "\x1b[2Ja\rb [/red] [b]c :smile:"
    shown = r"\x1b[2Ja\rb [/red] [b]c :smile:"
    print_table("A [/red] title", ("[/name]",), [(hostile,)])
    text = capsys.readouterr().out
    assert shown in text
    assert "A [/red] title" in text
    assert "[/name]" in text
    print_fields("", {"it": hostile})
    assert shown in capsys.readouterr().out
    CommandError(hostile).show()
    assert shown in capsys.readouterr().err


def test_line_breaks_and_letters_of_all_languages_stay():
    assert printable("a\nÄ ß 電気 → ✓") == "a\nÄ ß 電気 → ✓"
