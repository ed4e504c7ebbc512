"""Evidence that is not on record yet, kept over a restart: one file for each offence.

The files are not synced. A power cut may cost the newest, which other members that saw the offence
hold as well; what is torn is not read as evidence and is removed.
"""

from pathlib import Path
from typing import Final, final

import structlog

from consensus.evidence import EVIDENCE_BYTES_MAX, Proof, decode_evidence, encode_evidence
from crypto.errors import DecodeError
from crypto.hashing import keccak256

_SUFFIX: Final = ".evidence"

_log = structlog.get_logger("evidence")


@final
class EvidenceStore:
    """A directory of pending evidence; it makes itself. A disk in trouble costs evidence only."""

    def __init__(self, path: Path, files_max: int) -> None:
        """Read at most `files_max` files; whoever keeps evidence keeps no more."""
        self.path = path
        self._files_max = files_max

    def keep(self, proof: Proof) -> None:
        """Write it down."""
        data = encode_evidence(proof)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._file(data).write_bytes(data)
        except OSError as error:
            _log.warning("evidence not kept", reason=str(error))

    def forget(self, proof: Proof) -> None:
        """Remove it."""
        self._remove(self._file(encode_evidence(proof)))

    def load(self) -> list[Proof]:
        """Return what is kept. Signatures are not verified here; what is no evidence is removed."""
        found = []
        for file in sorted(self.path.glob(f"*{_SUFFIX}"))[: self._files_max]:
            try:
                with file.open("rb") as opened:
                    found.append(decode_evidence(opened.read(EVIDENCE_BYTES_MAX + 1)))
            except (OSError, DecodeError) as error:
                _log.warning("evidence cannot be read", file=file.name, reason=str(error))
                self._remove(file)
        return found

    def _file(self, data: bytes) -> Path:
        return self.path / f"{keccak256(data).hex()}{_SUFFIX}"

    def _remove(self, file: Path) -> None:
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            _log.warning("evidence not removed", file=file.name, reason=str(error))
