"""JSON files that are read strictly: what is read can be written again."""

import json

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


@pytest.mark.parametrize("depth", [100, 950, 990, 995, 3_000])
def test_deep_values_are_read_and_written_or_refused(depth):
    data = b'{"a": ' + b"[" * depth + b'"\\u0041"' + b"]" * depth + b"}"
    try:
        value = strict_json.parse(data, "file")
    except BadFile:
        return
    assert strict_json.parse(strict_json.render(value), "file") == value


@pytest.mark.parametrize(
    "text", ['{"a": "\\ud83d\\ude00"}', '{"a": "\\u00fc"}', '{"a": "\\\\ud800"}']
)
def test_other_escapes_are_read_and_written(text):
    value = strict_json.parse(text.encode(), "file")
    assert strict_json.parse(strict_json.render(value), "file") == value == json.loads(text)
