"""Struct logs against revm's EIP-3155 trace, instruction by instruction, of the fuzzer's cases."""

import json
import os
import sys
import tempfile
from dataclasses import replace
from functools import partial

import pyrevm
import pytest

from node.rpc.struct_tracer import StructTracer
from node.rpc.trace_options import TraceBudget, read_options
from testnet.evm_fuzz import ours, revm
from testnet.evm_fuzz.generate import generate
from vm.evm.interpreter import execute
from vm.evm.message import Message
from vm.evm.world import World

GAS_MAX = 100_000
CREATES = ("CREATE", "CREATE2")


def revm_steps(case):
    """Return what revm writes to standard output: it knows no other way."""
    with tempfile.TemporaryFile() as file:
        sys.stdout.flush()
        held = os.dup(1)
        os.dup2(file.fileno(), 1)
        try:
            revm.run(case)
        finally:
            os.dup2(held, 1)
            os.close(held)
        file.seek(0)
        rows = [json.loads(line) for line in file.read().splitlines() if line.startswith(b"{")]
    return [row for row in rows if "pc" in row]


def our_steps(case, gas):
    world = World(ours.CaseState(case))
    world.set_nonce(case.sender, world.nonce(case.sender) + 1)
    for address, slots in case.access_list:
        world.warm_address(address)
        for slot in slots:
            world.warm_slot(address, slot)
    message = Message(caller=case.sender, to=case.to, value=case.value, data=case.data, gas=gas)
    tracer = StructTracer(read_options(None), TraceBudget())
    execute(world, ours.environment(case), message, tracer=tracer)
    return list(tracer.entries())


@pytest.mark.parametrize("seed", range(1, 13))
def test_every_step_is_revms(seed, monkeypatch):
    """Place, gas, depth, stack and price.

    revm shows no price where an instruction fails, and adds what a creation passes on, which geth
    does not.
    """
    monkeypatch.setattr(pyrevm, "EVM", partial(pyrevm.EVM, tracing=True))
    case = generate(seed)
    case = replace(case, gas_limit=min(case.gas_limit, GAS_MAX))
    theirs = revm_steps(case)
    try:
        mine = our_steps(case, int(theirs[0]["gas"], 16)) if theirs else []
    except ours.CalledPrecompileLeftOut:
        return
    assert len(mine) == len(theirs)
    for entry, other in zip(mine, theirs, strict=True):
        assert (entry["pc"], entry["depth"], entry["stack"]) == (
            other["pc"],
            other["depth"],
            other["stack"],
        )
        assert entry["gas"] == int(other["gas"], 16)
        if "error" not in entry and entry["op"] not in CREATES:
            assert entry["gasCost"] == int(other["gasCost"], 16), entry
