"""Other nodes' transcripts on a chain of ours, and that the judge sees what is wrong."""

import json
import os
from pathlib import Path

import pytest

from testnet.rpc_shapes import BadTranscript, check_transcript

NOT_SERVED = frozenset(
    (
        "debug_getRawBlock", "debug_getRawHeader", "debug_getRawReceipts", "eth_blobBaseFee",
        "eth_config", "eth_getProof",
    )
)  # fmt: skip
"""docs/spec/rpc.md says why."""


def transcripts():
    folder = os.environ.get("HEARTH_VECTORS")
    return sorted(Path(folder, "evm", "rpc-compat").rglob("*.io")) if folder else []


@pytest.mark.skipif(not transcripts(), reason="HEARTH_VECTORS names no folder of test vectors")
def test_there_are_transcripts_of_every_method_not_served():
    found = {check_transcript(path).method for path in transcripts()}
    assert found >= NOT_SERVED


@pytest.mark.parametrize("path", transcripts(), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_our_answers_have_their_shape(path):
    result = check_transcript(path)
    assert not result.failures, "\n".join(result.failures)
    assert result.served == (result.method not in NOT_SERVED)


def judged(tmp_path, request, response):
    path = tmp_path / "made.io"
    request = {"jsonrpc": "2.0", "id": 1, **request}
    lines = ["// made here", f">> {json.dumps(request)}", f"<< {json.dumps(response)}"]
    path.write_text("\n".join(lines))
    return check_transcript(path)


@pytest.mark.parametrize(
    ("response", "found"),
    [
        ({"result": "0x1"}, ()),
        ({"result": "latest"}, ("none of",)),
        ({"result": None}, ("theirs null",)),
        ({"result": 7}, ("theirs 7",)),
        ({"result": {"number": "0x1"}}, ("theirs",)),
        ({"error": {"code": -32602, "message": "no"}}, ("was expected",)),
    ],
)
def test_a_quantity_is_compared_with_what_they_gave(tmp_path, response, found):
    result = judged(tmp_path, {"method": "eth_blockNumber"}, response)
    assert result.served
    assert len(result.failures) == len(found)
    assert all(part in said for part, said in zip(found, result.failures, strict=True))


def test_missing_and_added_keys_are_seen(tmp_path):
    request = {"method": "txpool_status"}
    more = judged(tmp_path, request, {"result": {"pending": "0x1", "queued": "0x0", "lost": "0x0"}})
    less = judged(tmp_path, request, {"result": {"pending": "0x1"}})
    assert more.failures == ("result.lost: is missing",)
    assert less.failures == ("result.queued: is not in theirs",)


def test_an_error_code_counts(tmp_path):
    request = {"method": "eth_getBlockByNumber", "params": ["two"]}
    said = {"code": -32000, "message": "no"}
    assert judged(tmp_path, request, {"error": said}).failures
    assert not judged(tmp_path, request, {"error": said | {"code": -32602}}).failures


def test_a_method_that_is_not_served_must_say_so(tmp_path):
    result = judged(tmp_path, {"method": "eth_getProof", "params": []}, {"result": {}})
    assert not result.served
    assert not result.failures


@pytest.mark.parametrize(
    "text",
    [
        '>> {"method":"x"}\n<< {}',
        '>> {"method":"x"}\n<< {"result":1,"error":{}}',
        '>> {"method":"x"}\n<< {"error":1}',
        '>> {"method":"x","params":{}}\n<< {"result":1}',
        "",
        "// nothing",
        ">> {}",
        ">> {}\n<< {}",
        '<< {}\n>> {"method":"x"}',
        ">> []\n<< {}",
        "{",
    ],
)
def test_what_is_no_transcript_is_refused(tmp_path, text):
    path = tmp_path / "bad.io"
    path.write_text(text)
    with pytest.raises(BadTranscript):
        check_transcript(path)


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("eth_getBlockByNumber", ["0xzz", False]),
        ("eth_sendRawTransaction", ["0xzz"]),
        ("eth_sendRawTransaction", [7]),
        ("eth_call", [{"to": "0x12"}, "latest"]),
        ("eth_call", [None]),
        ("eth_getLogs", [{"fromBlock": "0x"}]),
        ("eth_blockNumber", [1]),
    ],
)
def test_a_request_that_is_meant_to_be_refused_is_put_as_it_is(tmp_path, method, params):
    refusal = {"error": {"code": -32602, "message": "no"}}
    assert not judged(tmp_path, {"method": method, "params": params}, refusal).failures
