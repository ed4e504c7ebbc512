// SPDX-License-Identifier: UNLICENSED
pragma solidity ^0.8.0;

/// Native contract Registry of every Hearth chain.
/// Made by `hearth contract abi Registry --format sol`.
interface IRegistry {
    /// `agent` may send transactions, charged to `household`.
    event AgentRegistered(address indexed household, address indexed agent);

    /// `agent` may not send any more.
    event AgentRevoked(address indexed household, address indexed agent);

    /// An agent's key for sealed messages is on the chain.
    event InfoPublished(address indexed agent, bytes32 boxKey);

    /// Let `agent` send transactions and act for the caller's household or service.
    ///
    /// Only the household's own account may do so: a stolen agent key must not make more agents.
    ///
    /// Args:
    ///     consent: 65-byte signature by `agent` over the digest of AGENT_CONSENT_FIELDS; nobody
    ///         can take an account in without its holder.
    ///
    /// Reverts:
    ///     NOT_HOUSEHOLD: the caller is itself an agent.
    ///     BAD_RECIPIENT: zero or a native contract.
    ///     ALREADY_REGISTERED: as this or any household's account.
    ///     TOO_MANY: AGENTS_PER_HOUSEHOLD_MAX.
    ///     BAD_SIGNATURE.
    ///
    /// Emits: AgentRegistered.
    function registerAgent(address agent, bytes calldata consent) external;

    /// Take back what `registerAgent` gave; what the agent published is deleted.
    ///
    /// Reverts:
    ///     NOT_HOUSEHOLD: the caller is itself an agent.
    ///     NOT_REGISTERED: not an agent of this household.
    ///
    /// Emits: AgentRevoked.
    function revokeAgent(address agent) external;

    /// Publish how the calling account is reached; once, until it is revoked.
    ///
    /// Args:
    ///     box_key: X25519 key to which messages are sealed; not zero.
    ///     sealed_household: who it belongs to, sealed for those who may know; may be empty.
    ///     endpoint: "host:port", or empty where only the relay is used.
    ///
    /// Reverts:
    ///     BAD_ARGUMENT: a length, or a key of zeros.
    ///     ALREADY_PUBLISHED.
    ///
    /// Emits: InfoPublished.
    function publishInfo(
        bytes32 boxKey,
        bytes calldata sealedHousehold,
        string calldata endpoint
    ) external;

    /// Return (boxKey, sealedHousehold, endpoint); zero and empty if nothing is published.
    function info(address agent) external view returns (
        bytes32 boxKey,
        bytes memory sealedHousehold,
        string memory endpoint
    );

    /// Return the registered agents of a household, oldest first.
    function agentsOf(address household) external view returns (address[] memory agents);

    /// Return the household or service behind an account; zero if it is not registered.
    function householdOf(address account) external view returns (address household);

    /// Return (ringKey, wallet) of a member; zero and empty if it is none.
    function keysOf(address household) external view returns (bytes32 ringKey, bytes memory wallet);
}

IRegistry constant REGISTRY = IRegistry(0x0000000000000000000000000000000000000101);
