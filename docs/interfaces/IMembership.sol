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

    struct Node {
        address account;
        bytes32 nodeKey;
        string endpoint;
        string name;
        bytes certificate;
        uint64 incarnation;
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

    struct Waiting {
        uint64 id;
        uint8 kind;
        address account;
        bytes32 newcomer;
        string endpoint;
        string name;
        bytes certificate;
        bytes32 keysHash;
        uint64 expiresWindow;
    }

    /// A proposal of `ProposalKind` about `account` is open.
    event Proposed(uint64 indexed id, address account, uint8 kind);

    /// One member's one vote.
    event Voted(uint64 indexed id, address indexed member, bool yes);

    /// The proposal left `OPEN`: `status` is a `ProposalStatus`.
    event ProposalDecided(uint64 indexed id, uint8 status);

    /// The next block begins `epoch`: `proposal`, of `kind` about `account`, is active.
    event MembersChanged(
        uint64 indexed epoch,
        uint64 indexed proposal,
        uint8 kind,
        address account,
        bytes32 membersHash
    );

    /// The proposal `id` is about these rules.
    event UpgradeProposed(uint64 indexed id, uint64 version, uint64 height);

    /// A member says up to which version its node knows the rules; its vote comes with it.
    event SupportAnnounced(uint64 indexed id, address indexed member, uint64 supported);

    /// From `height` on blocks are made by the rules of `version`.
    event UpgradeScheduled(uint64 indexed version, uint64 indexed proposal, uint64 height);

    /// The members of `epoch` share a key; its hash is `keyHash`.
    event CommunityKeyDealt(uint64 indexed epoch, address indexed dealer, bytes32 keyHash);

    /// `member` has proved that its box fails: the key of `epoch` is void, another may deal.
    event CommunityKeyDisputed(uint64 indexed epoch, address indexed dealer, address member);

    /// Carry in a newcomer, which proposes itself by its signatures.
    ///
    /// Args:
    ///     certificate: DER of the node's certificate (`crypto.node_certificate`).
    ///     name: for people; distinct among the members.
    ///     node_signature: Ed25519 by `node_key` over the digest of CANDIDATE_FIELDS.
    ///     account_signature: 65 bytes by `account` over the same.
    ///     ring_proof: Ed25519 by `ring_key` over tagged_hash(RING_PROOF_TAG, account).
    ///
    /// Returns:
    ///     The proposal's id, counted from 1.
    ///
    /// Reverts:
    ///     NOT_MEMBER: the caller is not a member's own account.
    ///     ALREADY_MEMBER, ALREADY_REGISTERED, ALREADY_PROPOSED: the candidate's account.
    ///     NODE_KEY_TAKEN, RING_KEY_TAKEN, NAME_TAKEN: by a member.
    ///     BAD_ARGUMENT: a length, the endpoint, the name, or the certificate is not the key's.
    ///     BAD_SIGNATURE: one of the three.
    ///     TOO_MANY: the member has PROPOSALS_OPEN_PER_MEMBER_MAX that are not over.
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
        bytes calldata certificate,
        string calldata name,
        bytes calldata nodeSignature,
        bytes calldata accountSignature
    ) external returns (uint64 id);

    /// Ask the members to evict `member`.
    ///
    /// It takes effect only while as many remain as the chain needs at least; until then it waits.
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

    /// Have the caller vote with a new node key, once its node is READY under it.
    ///
    /// Needs no votes, and replaces an older change of the member's own that still waits.
    ///
    /// Args:
    ///     node_signature: Ed25519 by the new key over the digest of ROTATION_FIELDS.
    ///
    /// Returns:
    ///     The proposal's id.
    ///
    /// Reverts:
    ///     NOT_MEMBER, NODE_KEY_TAKEN, BAD_ARGUMENT, BAD_SIGNATURE.
    ///     TOO_MANY: OWN_CHANGES_PER_WINDOW_MAX in this window, or OWN_EPOCHS_BURST epochs by the
    ///         member that count still (`membership_rate`).
    ///
    /// Emits: Proposed, ProposalDecided.
    function proposeRotation(
        bytes32 nodeKey,
        bytes calldata certificate,
        string calldata endpoint,
        bytes calldata nodeSignature
    ) external returns (uint64 id);

    /// Have a new epoch begin with the same keys: the caller's node lost its vote log.
    ///
    /// What it signed in older epochs is void then, so it cannot contradict itself.
    ///
    /// Returns:
    ///     The proposal's id.
    ///
    /// Reverts:
    ///     NOT_MEMBER.
    ///     TOO_MANY: as `propose_rotation`.
    ///
    /// Emits: Proposed, ProposalDecided.
    function proposeReincarnation() external returns (uint64 id);

    /// Give the one vote of the member whose own account calls; an agent cannot vote.
    ///
    /// When somebody has joined or left since, votes given before are void and given anew.
    ///
    /// Reverts:
    ///     NOT_MEMBER: the caller is not a member's own account.
    ///     UNKNOWN_PROPOSAL, PROPOSAL_DECIDED, ALREADY_VOTED.
    ///     NOT_SUPPORTED: for an upgrade: `supportUpgrade` does that.
    ///
    /// Emits: Voted; ProposalDecided if this vote decides.
    function vote(uint64 id, bool yes) external;

    /// Ask the members to make blocks by the rules of `version` from `height` on.
    ///
    /// Returns:
    ///     The proposal's id.
    ///
    /// Reverts:
    ///     NOT_MEMBER: as `propose`.
    ///     ALREADY_SCHEDULED, BAD_ARGUMENT, DEADLINE_PASSED, ALREADY_PROPOSED, TOO_MANY: see
    ///         `upgrades.open_upgrade`.
    ///
    /// Emits: Proposed, UpgradeProposed.
    function proposeUpgrade(uint64 version, uint64 height) external returns (uint64 id);

    /// Vote for an upgrade, and announce up to which version the member's node knows the rules.
    ///
    /// Reverts:
    ///     NOT_MEMBER: as `vote`.
    ///     UNKNOWN_PROPOSAL, PROPOSAL_DECIDED, ALREADY_VOTED, BAD_ARGUMENT, NOT_SUPPORTED,
    ///         DEADLINE_PASSED: see `upgrades.support_upgrade`.
    ///
    /// Emits: SupportAnnounced, Voted; ProposalDecided and UpgradeScheduled if this vote decides.
    function supportUpgrade(uint64 id, uint64 supported) external;

    /// Deal the community key of the present epoch; the first valid one wins.
    ///
    /// Args:
    ///     boxes: what `crypto.community_box.deal` returns for the members' node keys, ascending,
    ///         with the caller as the dealer.
    ///
    /// Reverts:
    ///     NOT_MEMBER: the caller is not a member's own account.
    ///     WRONG_EPOCH, ALREADY_DEALT, DEALER_BARRED, BAD_ARGUMENT.
    ///     BAD_PROOF: the dealer did not make the boxes itself.
    ///
    /// Emits: CommunityKeyDealt.
    function rekey(uint64 epoch, bytes32 keyHash, bytes calldata boxes) external;

    /// Prove that the caller's box does not hold the key: its dealer is barred in this epoch.
    ///
    /// Args:
    ///     shared, proof: what `crypto.community_box.prove_shared` returns.
    ///
    /// Reverts:
    ///     NOT_MEMBER: the caller is not a member's own account.
    ///     NOT_DEALT, BAD_PROOF, BOX_OPENS.
    ///
    /// Emits: CommunityKeyDisputed.
    function disputeBox(uint64 epoch, bytes32 shared, bytes calldata proof) external;

    /// Return (account, nodeKey, endpoint, meter) of each member, oldest first.
    function members() external view returns (Member[] memory);

    /// Return how each member's node is met, ascending by node key: as votes count them.
    function nodes() external view returns (Node[] memory);

    /// Return (epoch, firstHeight, firstTerm, termBlocks, quorum, membersHash) of now.
    function epoch() external view returns (
        uint64 epoch,
        uint64 firstHeight,
        uint64 firstTerm,
        uint64 termBlocks,
        uint64 quorum,
        bytes32 membersHash
    );

    /// Return all proposals that are kept, oldest first, as `proposal`.
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

    /// Return (nodeKey, endpoint, name, certificate, meter, meterId) of who wants in.
    ///
    /// Of a rotation, what it will be, without meterId; zero and empty for the other kinds, and
    /// once the proposal is over.
    ///
    /// Reverts:
    ///     UNKNOWN_PROPOSAL.
    function candidate(uint64 id) external view returns (
        bytes32 nodeKey,
        string memory endpoint,
        string memory name,
        bytes memory certificate,
        address meter,
        string memory meterId
    );

    /// Return the accepted proposals that READYs would activate now.
    ///
    /// (id, kind, account, newcomer, endpoint, name, certificate, keysHash, expiresWindow) each:
    /// `newcomer` is the node key whose READY must be there (zero for an eviction), followed by
    /// how that node is met; `keysHash` is what a READY signs.
    function waiting() external view returns (Waiting[] memory);

    /// Return the node keys of the set that an accepted proposal makes now, ascending.
    ///
    /// Reverts:
    ///     As `membership_change.next_members`.
    function nextKeys(uint64 id) external view returns (bytes32[] memory keys);

    /// Return (isDealt, isDue, epoch, dealer, keyHash, boxes) of the key that serves.
    ///
    /// `isDue`: there has been a key before, and none of the present epoch stands. `boxes`: E,
    /// then node key and box of each member of the key's epoch, 64 bytes a member.
    function communityKey() external view returns (
        bool isDealt,
        bool isDue,
        uint64 epoch,
        address dealer,
        bytes32 keyHash,
        bytes memory boxes
    );

    /// Return whether a box of `dealer` has failed in `epoch`, so that it deals no more.
    function isBarred(uint64 epoch, address dealer) external view returns (bool barred);

    /// Return how many votes decide.
    function threshold() external view returns (uint64 votes);

    /// Return (version, height) that an upgrade proposes.
    ///
    /// Reverts:
    ///     UNKNOWN_PROPOSAL; BAD_ARGUMENT: a proposal of another kind.
    function upgrade(uint64 id) external view returns (uint64 version, uint64 height);

    /// Return (version, height, nextVersion, nextHeight, votes).
    ///
    /// The version of this block and where it came into force; what was voted to come next, zeros
    /// if nothing; how many votes an upgrade needs.
    function protocol() external view returns (
        uint64 version,
        uint64 height,
        uint64 nextVersion,
        uint64 nextHeight,
        uint64 votes
    );

    /// Return (gas used, gas allowed, window) of whoever sponsors `account`, in this window.
    function quota(address account) external view returns (
        uint64 used,
        uint64 limit,
        uint64 window
    );
}

IMembership constant MEMBERSHIP = IMembership(0x0000000000000000000000000000000000000100);
