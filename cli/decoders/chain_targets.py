"""Targets: encodings, transactions, blocks, receipts, the member set, genesis."""

from typing import Final

from cli.decoders import material
from cli.decoders.target import Finding, Target
from crypto import abi, abi_event, codec, rlp
from crypto.errors import DecodeError
from crypto.keys import parse_address
from node.executor import decode_receipts, encode_receipts
from node.rpc.views import decode_cached
from vm import activation, block, genesis, members, protocol, receipt, transaction
from vm.errors import GenesisError, InvalidBlock, InvalidTransaction
from vm.native import Method, NativeContract

ABI_TYPES: Final = (
    ("uint256",),
    ("address", "uint64", "bool", "int8", "bytes4"),
    ("bytes",),
    ("string", "uint8[]"),
    ("(address,bytes32[])[2]", "bytes[]"),
    ("(uint64,(string,int256)[])[]",),
    ("uint256[3][]", "string[2]"),
    ("bytes[][]",),
)
"""Picked by an input's first byte."""
_NONCE: Final = 9
_CALL_GAS: Final = 1_000_000


def _codec(data: bytes) -> bytes:
    return codec.encode(codec.decode(data, field="input", max_bytes=1 << 20))


def _rlp(data: bytes) -> bytes:
    return rlp.encode(rlp.decode(data, field="input", max_bytes=1 << 20))


def _rlp_integer(data: bytes) -> bytes:
    return rlp.encode_int(rlp.decode_int(data, "input"))


def _abi(data: bytes) -> bytes:
    types = ABI_TYPES[data[0] % len(ABI_TYPES)] if data else ABI_TYPES[0]
    return data[:1] + abi.encode(types, abi.decode(types, data[1:]))


def _abi_seeds() -> list[bytes]:
    values: tuple[tuple[object, ...], ...] = (
        (7,),
        (material.RECEIVER, 3, True, -5, b"abcd"),
        (b"some bytes that need more than thirty-two of them",),
        ("Grüße", [1, 2, 3]),
        ([(material.RECEIVER, [bytes(32)]), (bytes(20), [])], [b"", b"x"]),
        ([(1, [("a", -1), ("", 2**255 - 1)]), (2, [])],),
        ([[1, 2, 3]], ["left", "right"]),
        ([[b"a"], [], [b"b", b"c"]],),
    )
    pairs = enumerate(zip(ABI_TYPES, values, strict=True))
    return [bytes((place,)) + abi.encode(types, row) for place, (types, row) in pairs]


def _abi_text(data: bytes) -> None:
    """Types and signatures come with a stranger's JSON ABI, or are typed; byte one says which."""
    text = data[1:].decode("utf-8", "surrogateescape")
    match data[:1]:
        case b"t":
            if abi.parse_type(text).name != text:
                raise Finding(f"type {text!r} has another name")
        case b"e":
            abi.event_topic(abi_event.parse_event(text).signature)
        case b"p":
            abi_event.parse_parameters(text)
        case _:
            abi.selector(text)


def _calldata(data: bytes) -> bytes:
    """A call of a native contract: the first byte picks it, selector and arguments follow.

    What it decodes is encoded to the same bytes, and the call itself ends, reverted or not.
    """
    contracts = _contracts()
    contract = contracts[data[0] % len(contracts)] if data else contracts[0]
    calldata = data[1:]
    material.chain().chain.call(contract.ADDRESS, calldata, sender=material.RECEIVER, gas=_CALL_GAS)
    method = contract.abi.get(calldata[: abi.SELECTOR_BYTES])
    if method is None:
        raise DecodeError("calldata", "selects no method")
    try:
        arguments = method.decode_arguments(calldata)
    except ValueError as error:  # DecodeError is one; a word that is out of range is the other.
        raise DecodeError("calldata", str(error)) from None
    return data[:1] + method.selector + abi.encode(method.input_types, list(arguments))


def _contracts() -> list[NativeContract]:
    contracts = material.chain().chain.machine.contracts
    return [contracts[address] for address in sorted(contracts)]


def _calldata_seeds() -> list[bytes]:
    return [
        bytes((place,)) + selector + bytes(method.words_bytes - len(selector))
        for place, contract in enumerate(_contracts())
        for selector, method in contract.abi.items()
        if method.words_bytes
    ]


def _address(data: bytes) -> None:
    parse_address(data.decode("utf-8", "surrogateescape"), "address")


def _transaction(data: bytes) -> bytes:
    """A transaction is what its raw bytes say; only its signature may then fail."""
    tx = transaction.decode(data)
    if decode_cached(data) != tx:
        raise Finding("what is remembered of a transaction is another one")
    tx.sender()
    return tx.raw


def _signed(kind: transaction.TxKind) -> bytes:
    dev = material.chain()
    return transaction.sign_transaction(
        dev.community.accounts[0],
        chain_id=dev.chain.chain_id,
        nonce=_NONCE,
        to=material.RECEIVER,
        data=b"\x01\x02\x03",
        gas_limit=90_000,
        value=5,
        access_list=((material.RECEIVER, (bytes(32),)),) if kind else (),
        kind=kind,
    )


def _receipts_seeds() -> list[bytes]:
    return [encode_receipts(material.block(height).receipts) for height in (1, 2, 4)]


def _block(data: bytes) -> bytes:
    decoded = block.decode_block(data)
    try:
        named = block.block_digest(data)
    except InvalidBlock:
        return block.encode_block(decoded)
    if named != decoded.header.hash:
        raise Finding("the block's digest is not its header's hash")
    return block.encode_block(decoded)


def _blocks() -> list[bytes]:
    records = [material.block(height) for height in (1, 2, 3)]
    return [block.encode_block(block.Block(each.header, each.transactions)) for each in records]


def _activation() -> list[bytes]:
    dev = material.chain()
    keys = sorted(dev.community.nodes, key=lambda key: key.public)
    named = members.keys_hash([key.public for key in keys])
    said = activation.ready_digest(dev.chain.genesis.hash, 1, named, 4)
    readies = tuple(activation.Ready(key.public, 4, key.sign(said)) for key in keys)
    return [
        activation.ActivationTransaction(1, readies[:count]).raw for count in (1, 3, len(readies))
    ]


def _genesis(data: bytes) -> None:
    """White space is free; what was read, written and read again, is the same."""
    read = genesis.Genesis.from_json(data)
    again = genesis.Genesis.from_json(read.to_json())
    if again != read or again.hash != read.hash:
        raise Finding("a genesis file changes when it is written and read again")


TARGETS: Final = (
    Target(
        name="codec",
        covers=(codec.decode,),
        run=_codec,
        refuses=(DecodeError,),
        seeds=lambda: [
            codec.encode([1, -1, 2**64 - 1, b"bytes", "text", None, True, {"a": [], "b": {}}]),
            codec.encode([[b"x" * 40, "y" * 300], {"key": [1, 2, 3] * 6}]),
        ],
    ),
    Target(
        name="rlp",
        covers=(rlp.decode,),
        run=_rlp,
        refuses=(DecodeError,),
        seeds=lambda: [
            rlp.encode([b"", b"\x01", b"a" * 60, [b"x", [b"y" * 300]]]),
            rlp.encode(b"b" * 56),
        ],
    ),
    Target(
        name="rlp-integer",
        covers=(rlp.decode_int,),
        run=_rlp_integer,
        refuses=(DecodeError,),
        seeds=lambda: [b"", b"\x01", b"\xff" * 32],
        bytes_max=64,
    ),
    Target(
        name="abi",
        covers=(abi.decode,),
        run=_abi,
        refuses=(DecodeError,),
        seeds=_abi_seeds,
    ),
    Target(
        name="abi-text",
        covers=(abi.parse_type, abi_event.parse_event, abi_event.parse_parameters),
        run=_abi_text,
        refuses=(DecodeError,),
        seeds=lambda: [
            b"tuint256",
            b"t(address,bytes32[])[4]",
            b"ftransfer(address,uint256)",
            b"eTransfer(address indexed from,address indexed to,uint256 value)",
            b"paddress indexed from,(uint64 id,bytes32 h)[] b",
        ],
        bytes_max=512,
    ),
    Target(
        name="calldata",
        covers=(Method.decode_arguments,),
        run=_calldata,
        refuses=(DecodeError,),
        seeds=_calldata_seeds,
    ),
    Target(
        name="address",
        covers=(parse_address,),
        run=_address,
        refuses=(DecodeError,),
        seeds=lambda: [b"0x" + b"ab" * 20, b"0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"],
        bytes_max=128,
    ),
    Target(
        name="transaction",
        covers=(transaction.decode, decode_cached),
        run=_transaction,
        refuses=(InvalidTransaction,),
        seeds=lambda: [_signed(kind) for kind in transaction.TxKind],
    ),
    Target(
        name="deadline",
        covers=(transaction.decode_deadline,),
        run=lambda data: transaction.decode_deadline(data).raw,
        refuses=(DecodeError,),
        seeds=lambda: [transaction.DeadlineTransaction(height).raw for height in (1, 2**40)],
        bytes_max=64,
    ),
    Target(
        name="activation",
        covers=(activation.decode_activation,),
        run=lambda data: activation.decode_activation(data).raw,
        refuses=(DecodeError,),
        seeds=_activation,
    ),
    Target(
        name="header",
        covers=(block.decode_header,),
        run=lambda data: block.decode_header(data).to_bytes(),
        refuses=(DecodeError,),
        seeds=lambda: [material.block(height).header.to_bytes() for height in (1, 4)],
        bytes_max=256,
    ),
    Target(
        name="block",
        covers=(block.decode_block,),
        run=_block,
        refuses=(InvalidBlock,),
        seeds=_blocks,
    ),
    Target(
        name="receipt",
        covers=(receipt.decode_receipt,),
        run=lambda data: receipt.encode_receipt(receipt.decode_receipt(data)),
        refuses=(DecodeError,),
        seeds=lambda: [receipt.encode_receipt(each) for each in material.block(2).receipts],
    ),
    Target(
        name="receipts",
        covers=(decode_receipts,),
        run=lambda data: encode_receipts(decode_receipts(data)),
        refuses=(DecodeError,),
        seeds=_receipts_seeds,
    ),
    Target(
        name="member-set",
        covers=(members.decode_members,),
        run=lambda data: members.encode_members(members.decode_members(data)),
        refuses=(DecodeError,),
        seeds=lambda: [members.encode_members(step.members) for step in material.hand_overs()],
    ),
    Target(
        name="protocol",
        covers=(protocol.decode_schedule,),
        run=lambda data: protocol.encode_schedule(protocol.decode_schedule(data)),
        refuses=(DecodeError,),
        seeds=lambda: [
            protocol.encode_schedule(protocol.Schedule(steps))
            for steps in (
                (protocol.Step(1, 0),),
                (protocol.Step(1, 0), protocol.Step(2, 500), protocol.Step(3, 2**40)),
            )
        ],
        bytes_max=512,
    ),
    Target(
        name="genesis",
        covers=(genesis.Genesis.from_json, genesis.member_from_json),
        run=_genesis,
        refuses=(GenesisError,),
        seeds=lambda: [material.chain().chain.genesis.to_json()],
        bytes_max=32 << 10,
    ),
)
