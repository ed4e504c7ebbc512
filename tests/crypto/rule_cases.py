"""Statements with their witnesses that the tests of the privacy rules share."""

import dataclasses

from crypto import curve
from crypto.bulletproofs_plus import RangeStatement
from crypto.hashing import keccak256
from crypto.member_ring import CallStatement, MemberSecret, Scope, Snapshot
from crypto.pedersen import AssetId, commit
from tests.crypto.privacy import opening, scalar

KWH = AssetId(keccak256(b"kWh"))
NETWORK = keccak256(b"network")
AUCTION = keccak256(b"auction 1")


def change(value, **fields):
    return dataclasses.replace(value, **fields)


def range_case(asset=KWH, context=AUCTION):
    openings = [opening("first", 5), opening("second", 2**64 - 1)]
    commitments = tuple(commit(each, asset) for each in openings)
    return RangeStatement(commitments=commitments, asset=asset, context=context), openings


def call_case(network=NETWORK):
    secrets = [scalar(f"member {i}") for i in range(3)]
    snapshot = Snapshot(
        network=network,
        root=keccak256(b"root"),
        epoch=9,
        keys=tuple(map(curve.base_mul, secrets)),
        slots=2,
    )
    statement = CallStatement(
        snapshot=snapshot,
        scope=Scope(contract=b"market", purpose=b"bid"),
        message=keccak256(b"call"),
    )
    return statement, MemberSecret(index=1, secret=secrets[1])
