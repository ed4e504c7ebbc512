"""The numbers of what may change from one release to the next, all in one place.

- **protocol**: the rules by which blocks are executed and hashed. All members must agree on it,
  from a height on. Raised when executing any block, or hashing it, would give something else.
- **wire**: how two nodes talk. The two ends of a link must agree. Raised when a frame, or what a
  payload means, is another.
- **storage**: what `data/` holds; a matter between a node and its own disk. Raised when a key or a
  value is another.

A protocol version comes into force by a vote (`vm.protocol`, `market.contracts.upgrades`), so a
release supports several: the one in force and those that may follow. Wire and storage have one
each. A node refuses a peer of another wire version and a database of another storage version.
The golden chain of the tests holds format and rules of protocol 1: whoever breaks it has made a
new version.
"""

from typing import Final

FIRST_PROTOCOL: Final = 1
SUPPORTED_PROTOCOLS: Final = (1,)
"""Rules of execution that this release knows, ascending."""
PROTOCOL_MAX: Final = 2**16 - 1
WIRE_VERSION: Final = 2
"""2: hello says which protocols a node supports; headers say by which one they are made."""
STORAGE_VERSION: Final = 4
"""4: headers say by which protocol they are made."""
