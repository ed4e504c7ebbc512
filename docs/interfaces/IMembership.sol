// SPDX-License-Identifier: UNLICENSED
pragma solidity ^0.8.0;

/// Native contract Membership of every Hearth chain.
/// Made by `hearth contract abi Membership --format sol`.
interface IMembership {
    struct Member {
        address account;
        bytes32 nodeKey;
        string endpoint;
        address meter;
    }

    struct Proposal {
        uint64 id;
        uint8 kind;
        address account;
        uint64 yes;
        uint64 no;
        uint8 status;
        uint64 expiresWindow;
    }

    /// A proposal of `ProposalKind` about `account` is open.
    event Proposed(uint64 indexed id, address account, uint8 kind);

    /// One member's one vote.
    event Voted(uint64 indexed id, address indexed member, bool yes);

    /// The proposal left `OPEN`: `status` is a `ProposalStatus`.
    event ProposalDecided(uint64 indexed id, uint8 status);

    /// Carry in a newcomer, which proposes itself by its signatures.
    ///
    /// Args:
    ///     node_signature: Ed25519 by `node_key` over the digest of CANDIDATE_FIELDS.
    ///     account_signature: 65 bytes by `account` over the same.
    ///     ring_proof: Ed25519 by `ring_key` over tagged_hash(RING_PROOF_TAG, account).
    ///
    /// Returns:
    ///     The proposal's id, counted from 1.
    ///
    /// Reverts:
    ///     NOT_MEMBER: the caller is not a member's own account.
    ///     ALREADY_MEMBER, ALREADY_PROPOSED: the candidate.
    ///     BAD_ARGUMENT: a length.
    ///     BAD_SIGNATURE: one of the three.
    ///     TOO_MANY: the member has PROPOSALS_OPEN_PER_MEMBER_MAX open.
    ///
    /// Emits: Proposed.
    function propose(
        bytes32 nodeKey,
        address account,
        bytes32 ringKey,
        bytes calldata ringProof,
        bytes calldata wallet,
        string calldata endpoint,
        address meter,
        bytes32 meterRingKey,
        string calldata meterId,
        bytes calldata nodeSignature,
        bytes calldata accountSignature
    ) external returns (uint64 id);

    /// Ask the members to evict `member`.
    ///
    /// Returns:
    ///     The proposal's id.
    ///
    /// Reverts:
    ///     NOT_MEMBER: the caller, as in `propose`, or `member`.
    ///     ALREADY_PROPOSED, TOO_MANY: as `propose`.
    ///
    /// Emits: Proposed.
    function proposeEviction(address member) external returns (uint64 id);

    /// Give the one vote of the member whose own account calls; an agent cannot vote.
    ///
    /// Reverts:
    ///     NOT_MEMBER: the caller is not a member's own account.
    ///     UNKNOWN_PROPOSAL, PROPOSAL_DECIDED, ALREADY_VOTED.
    ///
    /// Emits: Voted; ProposalDecided if this vote decides.
    function vote(uint64 id, bool yes) external;

    /// Return (account, nodeKey, endpoint, meter) of each member, in the order of indexes.
    function members() external view returns (Member[] memory);

    /// Return all proposals, oldest first, as `proposal`.
    function proposals() external view returns (Proposal[] memory);

    /// Return (id, kind, account, yes, no, status, expiresWindow).
    ///
    /// Reverts:
    ///     UNKNOWN_PROPOSAL.
    function proposal(uint64 id) external view returns (
        uint64 id_,
        uint8 kind,
        address account,
        uint64 yes,
        uint64 no,
        uint8 status,
        uint64 expiresWindow
    );

    /// Return how many votes decide.
    function threshold() external view returns (uint64 votes);

    /// Return (gas used, gas allowed, window) of whoever sponsors `account`, in this window.
    function quota(address account) external view returns (
        uint64 used,
        uint64 limit,
        uint64 window
    );
}

IMembership constant MEMBERSHIP = IMembership(0x0000000000000000000000000000000000000100);
