// SPDX-License-Identifier: UNLICENSED
pragma solidity ^0.8.0;

/// Native contract Ramp of every Hearth chain.
/// Made by `hearth contract abi Ramp --format sol`.
interface IRamp {
    struct Withdrawal {
        uint64 id;
        address household;
        uint256 amount;
        bytes32 payoutHash;
        uint64 votes;
        bool paid;
    }

    /// `member` saw `amount` arrive at the bank for `to`.
    event DepositAttested(
        bytes32 indexed reference_,
        address indexed member,
        address to,
        uint256 amount
    );

    /// Enough equal votes: the money exists now.
    event DepositMinted(bytes32 indexed reference_, address indexed to, uint256 amount);

    /// The money is burnt; the members owe a payout.
    event WithdrawalRequested(
        uint64 indexed id,
        address indexed household,
        uint256 amount,
        bytes32 payoutHash
    );

    /// `member` saw the payout leave the bank.
    event PayoutConfirmed(uint64 indexed id, address indexed member);

    /// Enough members saw the payout.
    event WithdrawalPaid(uint64 indexed id);

    /// Vote that `amount` arrived at the bank for `to` under `reference`.
    ///
    /// Votes count for exactly the same three values. Where members disagree about a reference,
    /// each version gathers its own votes, and the first that has enough closes the reference.
    ///
    /// Reverts:
    ///     NOT_MEMBER: the caller is not a member's own account.
    ///     BAD_RECIPIENT: `to` is zero or a native contract.
    ///     BAD_ARGUMENT: amount zero or above SUPPLY_MAX.
    ///     REFERENCE_USED: minted already.
    ///     ALREADY_VOTED: for these values.
    ///
    /// Emits: DepositAttested; with the last vote needed DepositMinted, and Transfer.
    function attestDeposit(bytes32 reference_, address to, uint256 amount) external;

    /// Burn `amount` of the caller, a household or service; the members owe the payout.
    ///
    /// Args:
    ///     payout_hash: binds the bank details, which the household tells the members off chain.
    ///
    /// Returns:
    ///     The withdrawal's id, counted from 1.
    ///
    /// Reverts:
    ///     BAD_ARGUMENT: amount zero or above SUPPLY_MAX.
    ///     INSUFFICIENT_FUNDS.
    ///     NOT_HOUSEHOLD: the caller is an agent.
    ///     TOO_MANY: PENDING_PER_HOUSEHOLD_MAX of its own wait for their payout.
    ///
    /// Emits: WithdrawalRequested, Transfer.
    function requestWithdrawal(uint256 amount, bytes32 payoutHash) external returns (uint64 id);

    /// Vote that withdrawal `id_` left the bank under `reference`.
    ///
    /// Reverts:
    ///     NOT_MEMBER, UNKNOWN_WITHDRAWAL.
    ///     ALREADY_PAID: enough members have confirmed.
    ///     REFERENCE_USED: the reference paid another withdrawal.
    ///     ALREADY_VOTED: for this reference.
    ///
    /// Emits: PayoutConfirmed; with the last vote needed WithdrawalPaid.
    function confirmPayout(uint64 id, bytes32 reference_) external;

    /// Return (minted, to, amount); false and zeros while votes are missing.
    function deposit(bytes32 reference_) external view returns (
        bool minted,
        address to,
        uint256 amount
    );

    /// Return (id, household, amount, payoutHash, votes, paid).
    ///
    /// `votes` is the most that any bank reference has.
    ///
    /// Reverts:
    ///     UNKNOWN_WITHDRAWAL.
    function withdrawal(uint64 id) external view returns (
        uint64 id_,
        address household,
        uint256 amount,
        bytes32 payoutHash,
        uint64 votes,
        bool paid
    );

    /// Return the withdrawals that wait for their payout, oldest first, as `withdrawal`.
    function pending() external view returns (Withdrawal[] memory);
}

IRamp constant RAMP = IRamp(0x0000000000000000000000000000000000000104);
