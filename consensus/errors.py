"""Errors of the consensus package that callers may catch."""


class ConsensusError(Exception):
    """Base of everything that this package raises on purpose."""


class MalformedMessage(ConsensusError, ValueError):
    """A value was built with a field out of range; the text names the field."""


class CorruptLog(ConsensusError):
    """The vote log is damaged before its tail: what was promised is unknown, so do not vote."""


class DoubleSign(ConsensusError):
    """The signer was asked for a second, different signature for one slot: our bug or a clone."""
