"""A household's new node key: made here, proposed under its account, signed by itself."""

import os
from pathlib import Path

from crypto import codec
from crypto.hashing import tagged_hash
from crypto.keys import NodeKey
from crypto.keystore import HouseholdKeys
from market.abi import ROTATION_FIELDS, ROTATION_TAG
from node.home import Home, load_household
from node.p2p.identity import make_certificate


def make_next_key(home: Home, password: str) -> NodeKey:
    """Write a fresh node key where the node looks for the one to come, and return it.

    The present key stays in use until the members' READYs have made the change. A key that is
    there already is returned: whoever made it was stopped before, or after, it was proposed, and
    to propose it again replaces that proposal and does no harm.

    Raises:
        ConfigError: a key is there that the password does not open.
    """
    path = home.next_node_key
    if path.exists():
        return load_household(path, password).node
    # Only the node key of these is used; the file has the form of all key files.
    fresh = HouseholdKeys.generate()
    fresh.save(path, password)
    path.chmod(0o600)
    _sync(path)
    return fresh.node


def rotation_arguments(
    chain_id: int, account: bytes, key: NodeKey, endpoint: str
) -> tuple[bytes, bytes, str, bytes]:
    """Return the arguments of Membership.proposeRotation for the new `key`."""
    certificate = make_certificate(key)
    values: dict[str, int | bytes | str] = {
        "chain_id": chain_id,
        "account": account,
        "node_key": key.public,
        "certificate": certificate,
        "endpoint": endpoint,
    }
    fields = [values[name] for name in ROTATION_FIELDS]
    digest = tagged_hash(ROTATION_TAG, codec.encode(fields))
    return key.public, certificate, endpoint, key.sign(digest)


def _sync(path: Path) -> None:
    """Make the key durable before the chain is told of it: it could not vote without."""
    for each in (path, path.parent):
        descriptor = os.open(each, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
