// SPDX-License-Identifier: UNLICENSED
pragma solidity ^0.8.0;

/// Native contract Accountability of every Hearth chain.
/// Made by `hearth contract abi Accountability --format sol`.
interface IAccountability {
    struct Offence {
        bytes32 nodeKey;
        address account;
        uint8 offence;
        uint8 kind;
        uint64 epoch;
        uint64 term;
        uint64 atView;
        uint64 height;
        uint64 reportedHeight;
    }

    /// The holder of `node_key` is convicted by two of its own signatures.
    event EvidenceReported(
        bytes32 indexed nodeKey,
        uint8 offence,
        uint8 kind,
        uint64 epoch,
        uint64 term,
        uint64 atView,
        uint64 height
    );

    /// Record an offence.
    ///
    /// Args:
    ///     evidence: `consensus.evidence.encode_evidence`.
    ///
    /// Returns:
    ///     The offender's node key.
    ///
    /// Reverts:
    ///     BAD_ARGUMENT: it convicts nobody, or its epoch is not known, or not any more.
    ///     BAD_SIGNATURE: one of the two signatures is not the member's.
    ///     DEADLINE_PASSED: the offence lies more than EVIDENCE_TERMS back.
    ///     ALREADY_RECORDED: this offender, in this slot.
    ///     TOO_MANY: OFFENCES_PER_MEMBER_MAX are on record.
    ///
    /// Emits: EvidenceReported.
    function reportEvidence(bytes calldata evidence) external returns (bytes32 nodeKey);

    /// Return at most ROWS_MAX offences from number `first` on, counted from 0, oldest first.
    function offences(uint64 first) external view returns (Offence[] memory);

    /// Return how many offences are on record.
    function count() external view returns (uint64 offences);

    /// Return how many of them are of the holder of `node_key`.
    function offencesOf(bytes32 nodeKey) external view returns (uint64 offences);

    /// Return whether this offence is on record: whoever would report it, asks.
    ///
    /// Reverts:
    ///     BAD_ARGUMENT: as `reportEvidence`.
    function isRecorded(bytes calldata evidence) external view returns (bool recorded);
}

IAccountability constant ACCOUNTABILITY = IAccountability(0x000000000000000000000000000000000000010B);
