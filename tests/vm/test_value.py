"""Values that are frozen for mypy: at run time they have slots, equality, a hash, and copies."""

from dataclasses import fields, replace

import pytest

from vm.receipt import Log
from vm.value import value


@value(kw_only=True)
class Pair:
    one: int
    two: bytes = b""


def test_values_are_equal_by_their_fields():
    assert Pair(one=1) == Pair(one=1, two=b"")
    assert Pair(one=1) != Pair(one=2)
    assert hash(Pair(one=1)) == hash(Pair(one=1))
    assert replace(Pair(one=1), two=b"x") == Pair(one=1, two=b"x")


def test_values_have_no_other_attributes_and_keywords_only_where_asked():
    with pytest.raises(AttributeError):
        Pair(one=1).three = 3
    with pytest.raises(TypeError):
        Pair(1)
    assert [field.name for field in fields(Log)] == ["address", "topics", "data"]
    assert Log(b"a", (), b"d").data == b"d"
