"""JSON files that are read strictly: what is read can be written again."""

import json
import sys

import pytest

from testnet import strict_json
from testnet.errors import BadFile


@pytest.mark.parametrize(
    "text", ['{"a": "\\ud800"}', '{"\\udfff": 1}', '{"a": ["\\ude00\\ud83d"]}']
)
def test_half_of_a_surrogate_pair_is_refused(text):
    """Found by the decoder fuzzer: it was read, and could not be written."""
    assert json.loads(text)
    with pytest.raises(BadFile, match="surrogates not allowed"):
        strict_json.parse(text.encode(), "file")


def deep(levels):
    return b'{"a": ' + b"[" * (levels - 1) + b'"\\u0041"' + b"]" * (levels - 1) + b"}"


def test_values_as_deep_as_allowed_are_read_and_written():
    value = strict_json.parse(deep(strict_json.DEPTH_MAX), "file")
    assert strict_json.parse(strict_json.render(value), "file") == value


@pytest.mark.parametrize("levels", [strict_json.DEPTH_MAX + 1, 950, 995, 3_000, 30_000])
@pytest.mark.parametrize("limit", [1_000, 20_000])
def test_deeper_values_are_refused_whatever_the_interpreter_allows(levels, limit):
    """A library may raise the limit: then they were read, and too long once they were written."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(limit)
    try:
        with pytest.raises(BadFile):
            strict_json.parse(deep(levels), "file")
    finally:
        sys.setrecursionlimit(before)


@pytest.mark.parametrize(
    "text", ['{"a": "\\ud83d\\ude00"}', '{"a": "\\u00fc"}', '{"a": "\\\\ud800"}']
)
def test_other_escapes_are_read_and_written(text):
    value = strict_json.parse(text.encode(), "file")
    assert strict_json.parse(strict_json.render(value), "file") == value == json.loads(text)
