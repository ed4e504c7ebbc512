"""Judges our RPC's answers by transcripts of other nodes: the same shapes, not the same values.

A transcript (ethereum/execution-apis, `tests/*.io`) holds requests and the answers that a node gave
on a chain of its own. Each request is put to a chain of ours (`testnet.rpc_chain`), with hashes,
addresses and heights replaced by those that play the same role here. The answer must have the same
keys, values of the same hex forms, and the same error codes. What may differ is listed here.
"""

import asyncio
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any, Final, TypeAlias, final

from node.rpc.dispatch import Caller
from node.rpc.errors import Code
from node.rpc.values import BadValue, read_data
from testnet.rpc_chain import ALICE, HEAD, RoleChain
from testnet.rpc_forms import FORMS, RESULT_FORMS, has_form
from vm.errors import InvalidTransaction
from vm.transaction import decode

TRANSCRIPT_BYTES_MAX: Final = 16 << 20

LACKING: Final[Mapping[str, str]] = {
    "blobGasUsed": "there are no blobs",
    "excessBlobGas": "there are no blobs",
    "blobGasPrice": "there are no blobs",
    "maxFeePerBlobGas": "there are no blobs",
    "blobVersionedHashes": "there are no blobs",
    "baseFeePerBlobGas": "there are no blobs",
    "blobGasUsedRatio": "there are no blobs",
    "authorizationList": "there is no EIP-7702",
    "parentBeaconBlockRoot": "there is no beacon chain",
    "requestsHash": "there is no beacon chain",
    "root": "receipts before Byzantium; ours have a status",
    "deleteStrategy": "logs are kept for ever",
}
"""Keys of theirs that our answers do not have."""

ADDED: Final[Mapping[str, str]] = {
    "timestampMs": "our blocks' own time",
    "totalDifficulty": "older clients insist on it",
    "output": "our receipts keep what was returned",
    "status": "theirs lack it before Byzantium",
    "baseFeePerGas": "theirs lack it before London",
    "chainId": "theirs lack it in unprotected transactions, which are refused here",
    "withdrawals": "theirs lack it before Shanghai",
    "withdrawalsRoot": "theirs lack it before Shanghai",
}
"""Keys of ours that their answers need not have."""

EMPTY: Final[Mapping[str, str]] = {"withdrawals": "there is no stake to withdraw"}
"""Lists of theirs that are always empty here."""

Answer: TypeAlias = "dict[str, Any]"
_THEIR_HEAD: Final = 0x36
_SAME_HEIGHTS: Final = 6
"""Up to here our blocks play the parts of theirs; above, heights are counted from the head."""
_OTHER_KINDS: Final = frozenset(("blobVersionedHashes", "authorizationList"))


@final
@dataclass(frozen=True, slots=True)
class TranscriptResult:
    """What came of one transcript."""

    method: str
    served: bool
    """Whether we serve the method; if not, the answer was checked to be -32601."""
    failures: tuple[str, ...]


class BadTranscript(ValueError):
    """A file that is no transcript; the text names the line."""


def check_transcript(path: Path) -> TranscriptResult:
    """Put a transcript's requests to our chain and compare the answers.

    Raises:
        BadTranscript: the file is none.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        data = file.read(TRANSCRIPT_BYTES_MAX + 1)
    return _check(_read(data))


def _check(exchanges: list[tuple[Answer, Answer]]) -> TranscriptResult:
    chain = _chain()
    method = exchanges[0][0]["method"]
    served = method in chain.methods
    failures: list[str] = []
    for request, theirs in exchanges:
        asked = {**request, "params": _Roles(chain).translate(request)}
        text = asyncio.run(
            chain.dispatcher.answer(json.dumps(asked), Caller(is_authorised=False, extra={}))
        )
        ours = json.loads(text or "null")
        if served:
            failures += _differences(request, ours, theirs)
        elif ours.get("error", {}).get("code") != Code.METHOD_NOT_FOUND:
            failures.append(f"{request['method']} is not served, but answers {ours}")
    return TranscriptResult(method, served, tuple(failures))


@cache
def _chain() -> RoleChain:
    """Return the chain, made once for all transcripts of a process."""
    chain = RoleChain()
    Finalize(None, chain.close, exitpriority=0)  # Runs in worker processes, too: atexit does not.
    return chain


def _read(data: bytes) -> list[tuple[Answer, Answer]]:
    """Return the requests with their answers."""
    if len(data) > TRANSCRIPT_BYTES_MAX:
        raise BadTranscript(f"must be at most {TRANSCRIPT_BYTES_MAX} bytes")
    lines = [line for line in data.splitlines() if line and not line.startswith(b"//")]
    if not lines or len(lines) % 2:
        raise BadTranscript("must hold requests, each with an answer")
    exchanges = []
    for place in range(0, len(lines), 2):
        request = _parse(lines[place], b">> ", place)
        answer = _parse(lines[place + 1], b"<< ", place + 1)
        if not isinstance(request.get("method"), str):
            raise BadTranscript(f"line {place}: has no method")
        if not isinstance(request.get("params", []), list):
            raise BadTranscript(f"line {place}: params must be an array")
        if ("result" in answer) == ("error" in answer):
            raise BadTranscript(f"line {place + 1}: must have a result or an error")
        if "error" in answer and not isinstance(answer["error"], dict):
            raise BadTranscript(f"line {place + 1}: error must be an object")
        exchanges.append((request, answer))
    return exchanges


def _parse(line: bytes, mark: bytes, place: int) -> Answer:
    try:
        value = json.loads(line.removeprefix(mark))
    except (ValueError, RecursionError) as error:
        raise BadTranscript(f"line {place}: {error}") from None
    if not line.startswith(mark) or not isinstance(value, dict):
        raise BadTranscript(f"line {place}: must be {mark.decode()}and an object")
    return value


@final
class _Roles:
    """Replaces what belongs to their chain by what plays the same role on ours."""

    def __init__(self, chain: RoleChain) -> None:
        self._chain = chain
        sent = chain.sent
        named = {
            "0x7dcd17433742f4c0ca53122ab541d0ba67fc27df": chain.emitting,
            "0x0ee3ab1371c93e7c0c281cc0c2107cdebc8b1930": chain.failing,
            "0x17e7eedce4ac02ef114a7ed9fe6e2f33feba1667": chain.answering,
            "0x9344b07175800259691961298ca11c824e65032d": chain.environment,
            # There is no delegation of code here: a contract stands in.
            "0xeda8645ba6948855e3b3cd596bbb07596d59c603": chain.environment,
            "0x0300100f529a704d19736a8714837adbc934db7f": ALICE.address,
            "0xc1d605c6612a5fe84dc95810030bfe5b1d327652b381bc695e28f50d13b2b09e": sent.creation,
            "0x3fbac8b19b59077cd29bbacc3815d73577b45a4d976cae80b04c98c793684c07": sent.transfer,
            "0x695ad02907c9e13ab7c69963f723fa46ac13cd5e2314f61eab2cb2f07b946faa": sent.listed,
            "0x205405746564cbcf1dd53fb5ac92c7622d3792d82f03c59d9baddf2443d91864": sent.dynamic,
            # A blob and a set-code transaction: here none but the next simpler kind exists.
            "0x4bb6fa064c302d27ea9ac821e061bcc336b8fa40de77f01e116c6461d47e7ac1": sent.dynamic,
            "0x99f7e58af4dd2735931a3262705fbe57ea2fcc79497668f74309cdeaf37cc223": sent.plain,
            "0x95b7276947f6331672b0c63eca28c1d39f25286d5e2793d6a487837ff1475ba0": chain.topic,
            "0x44fd89d504659cd58f48f4796b77a7e7012cf296a2409afa2f6c3cb99b5b3d99": self._block(0),
            "0x80e911b62f552f563a2544dfef5eb39ec8863d9082c998ca6b657f76e19de38e": self._block(1),
            "0x98f797a6af91ea770ab3a99d89c17a3a46d14c76db6bb711b18156a3493d2c94": self._block(4),
            "0xa38f2a6f7d276298d8e7a9bfa28625e4dc8948021f5a7369d0a04571879e98d2": self._block(9),
            "0xf69b05b90b7e50c0b5b9b74d2d63a983dee56dffbbd68a530f026f263d76810c": self._block(9),
        }
        self._named = {theirs: "0x" + ours.hex() for theirs, ours in named.items()}

    def _block(self, height: int) -> bytes:
        return self._chain.chain.store.digest(height)

    def translate(self, request: Answer) -> list[Any]:
        """Return the parameters for our chain."""
        method, params = request["method"], request.get("params") or []
        if method == "eth_sendRawTransaction":
            return [self._signed_anew(param) for param in params]
        ours: list[Any] = [self._value(param) for param in params]
        place = _HEIGHT_AT.get(method)
        if place is not None and len(ours) > place:
            ours[place] = _height(ours[place])
        return ours

    def _value(self, value: Any) -> Any:
        match value:
            case str():
                return self._named.get(value, value)
            case list():
                return [self._value(item) for item in value]
            case dict():
                return {self._value(key): self._field(key, item) for key, item in value.items()}
            case _:
                return value

    def _field(self, key: str, value: Any) -> Any:
        if key == "value":
            return "0x0"  # There is no coin.
        return _height(value) if key in ("fromBlock", "toBlock") else self._value(value)

    def _signed_anew(self, raw: Any) -> Any:
        """Return a transaction of the same kind and with the same payload, signed by our sender."""
        try:
            theirs = decode(read_data(raw, "transaction"))
        except (BadValue, InvalidTransaction):
            return raw  # It is meant to be refused.
        nonce = self._chain.free_nonce()
        listed = tuple((self._chain.emitting, slots) for _, slots in theirs.access_list)
        to = None if theirs.to is None else self._chain.emitting
        ours = self._chain.sign(to, theirs.data, kind=theirs.kind, access_list=listed, nonce=nonce)
        return "0x" + ours.hex()


_HEIGHT_AT: Final = {
    "eth_getBlockByNumber": 0,
    "eth_getBlockReceipts": 0,
    "eth_getBlockTransactionCountByNumber": 0,
    "eth_getTransactionByBlockNumberAndIndex": 0,
    "eth_feeHistory": 1,
}
"""Where methods take a height."""


def _height(value: Any) -> Any:
    """Return the height of our block that plays the part of theirs; tags and hashes stay."""
    if not isinstance(value, str) or not value.startswith("0x") or len(value) == 66:
        return value
    try:
        height = int(value, 16)
    except ValueError:
        return value  # It is meant to be refused.
    if height <= _SAME_HEIGHTS:
        return value
    ours = HEAD + height - _THEIR_HEAD
    return hex(max(_SAME_HEIGHTS, ours))


# Comparing.


def _differences(request: Answer, ours: Answer, theirs: Answer) -> Iterator[str]:
    params = request.get("params") or [None]
    if isinstance(params[0], dict) and not _OTHER_KINDS.isdisjoint(params[0]):
        yield from _refusal(ours)
    elif "error" in theirs:
        yield from _error_differences(ours, theirs["error"])
    elif "error" in ours:
        yield f"result: an error: {ours['error']}"
    else:
        form = RESULT_FORMS.get(request["method"], "")
        yield from _lacks(ours["result"], theirs["result"], "result", form)


def _refusal(ours: Answer) -> Iterator[str]:
    """A kind of transaction that does not exist here must be refused in geth's words."""
    error = ours.get("error", {})
    said = str(error.get("message", ""))
    if error.get("code") != Code.SERVER or not said.startswith("transaction type not supported"):
        yield f"error: must refuse a transaction of another kind, got {ours}"


def _error_differences(ours: Answer, theirs: Answer) -> Iterator[str]:
    error = ours.get("error")
    if error is None:
        yield f"error: {theirs} was expected, got a result"
        return
    code = theirs.get("code")
    if error["code"] != code:
        yield f"error.code: {error['code']}, not {code}: {error['message']}"
    if code == Code.REVERTED and error["message"] != theirs.get("message"):
        yield f"error.message: {error['message']!r}, not {theirs.get('message')!r}"
    if ("data" in theirs) != ("data" in error) and code == Code.REVERTED:
        yield "error.data: is there in one of them only"


def _lacks(ours: Any, theirs: Any, where: str, key: str) -> Iterator[str]:
    """Yield how our value differs from theirs in shape."""
    match ours, theirs:
        case dict(), dict():
            yield from _object_differences(ours, theirs, where, key)
        case list(), list():
            yield from _list_differences(ours, theirs, where, key)
        case str(), str():
            yield from _text_differences(ours, theirs, where, key)
        case (bool(), bool()) | (None, None):
            pass
        case (int() | float(), int() | float()) if not isinstance(ours, bool):
            pass
        case _:
            yield f"{where}: {_short(ours)}, theirs {_short(theirs)}"


def _object_differences(ours: Answer, theirs: Answer, where: str, key: str) -> Iterator[str]:
    if theirs and all(_is_data_key(name) for name in theirs):  # A dictionary, not a record.
        yield from _list_differences(list(ours.values()), list(theirs.values()), where, key)
        yield from (f"{where}.{name}: is no key" for name in ours if not _is_data_key(name))
        return
    for name, value in theirs.items():
        if name in ours:
            yield from _lacks(ours[name], value, f"{where}.{name}", name)
        elif name not in LACKING:
            yield f"{where}.{name}: is missing"
    for name, value in ours.items():
        if name not in theirs and name not in ADDED:
            yield f"{where}.{name}: is not in theirs"
        elif name not in theirs:
            yield from _text_differences(value, value, f"{where}.{name}", name)


def _list_differences(ours: list[Any], theirs: list[Any], where: str, key: str) -> Iterator[str]:
    """Each item of ours must have the shape of one of theirs."""
    if key in EMPTY:
        theirs = []
    if bool(ours) != bool(theirs):
        yield f"{where}: {len(ours)} items, theirs {len(theirs)}"
        return
    for place, item in enumerate(ours):
        found = [list(_lacks(item, other, f"{where}[{place}]", key)) for other in theirs]
        yield from min(found, key=len)


def _text_differences(ours: Any, theirs: Any, where: str, key: str) -> Iterator[str]:
    """Compare hex forms: the key says which are possible, their value which of them it is."""
    if not isinstance(ours, str) or not isinstance(theirs, str):
        return
    possible = FORMS.get(key, ())
    if not possible:
        yield f"{where}: no form is known for {key!r}"
        return
    form = next((each for each in possible if has_form(each, theirs)), None)
    if form is None:
        yield f"{where}: their {_short(theirs)} is none of {possible}"
    elif not has_form(form, ours):
        yield f"{where}: {_short(ours)} is no {form}"


def _is_data_key(key: str) -> bool:
    return key.startswith("0x") or key.isdecimal()


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "..."
