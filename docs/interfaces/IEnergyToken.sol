// SPDX-License-Identifier: UNLICENSED
pragma solidity ^0.8.0;

/// Native contract EnergyToken of every Hearth chain.
/// Made by `hearth contract abi EnergyToken --format sol`.
interface IEnergyToken {
    /// ERC-20: `source` is zero where tokens are minted, `to` is zero where they are burnt.
    event Transfer(address indexed from, address indexed to, uint256 value);

    /// ERC-20: `spender` may move up to `value` of `owner`.
    event Approval(address indexed owner, address indexed spender, uint256 value);

    /// Return the token's name.
    function name() external view returns (string memory value);

    /// Return the token's symbol.
    function symbol() external view returns (string memory value);

    /// Return how many decimal places a unit of display has.
    function decimals() external view returns (uint8 value);

    /// Return the sum of all balances.
    function totalSupply() external view returns (uint256 amount);

    /// Return what `account` holds.
    function balanceOf(address account) external view returns (uint256 amount);

    /// Return what `spender` may still move of `owner`.
    function allowance(address owner, address spender) external view returns (uint256 amount);

    /// Move `amount` from the caller's own account to `to`.
    ///
    /// Reverts:
    ///     BAD_RECIPIENT: zero or a native contract.
    ///     INSUFFICIENT_FUNDS or INSUFFICIENT_ENERGY: the caller holds less.
    ///
    /// Emits: Transfer.
    function transfer(address to, uint256 amount) external returns (bool ok);

    /// Let `spender` move up to `amount` of the caller's account, whatever it was before.
    ///
    /// Reverts:
    ///     BAD_RECIPIENT: the spender is zero.
    ///
    /// Emits: Approval.
    function approve(address spender, uint256 amount) external returns (bool ok);

    /// Move `amount` of `owner`, who approved the caller for it, to `to`.
    ///
    /// Reverts:
    ///     BAD_RECIPIENT: zero or a native contract.
    ///     INSUFFICIENT_ALLOWANCE: the caller is approved for less.
    ///     INSUFFICIENT_FUNDS or INSUFFICIENT_ENERGY: the owner holds less.
    ///
    /// Emits: Transfer.
    function transferFrom(address owner, address to, uint256 amount) external returns (bool ok);

    /// Approve `spender` by the signature of `owner`; whoever has it may send it, once.
    ///
    /// Reverts:
    ///     DEADLINE_PASSED: the block's time in whole seconds is past `deadline`.
    ///     BAD_SIGNATURE: v is neither 27 nor 28, s is high (EIP-2), or it is not the owner's
    ///         over these values and the owner's present nonce.
    ///     BAD_RECIPIENT: the spender is zero.
    ///
    /// Emits: Approval.
    function permit(
        address owner,
        address spender,
        uint256 value,
        uint256 deadline,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external;

    /// Return how many permits of `owner` have been used: the nonce of its next.
    function nonces(address owner) external view returns (uint256 nonce);

    /// Return what binds permits to this token of this chain (EIP-712).
    function DOMAIN_SEPARATOR() external view returns (bytes32 separator);

    /// Return the separator's parts, so that a wallet can show them (EIP-5267).
    function eip712Domain() external view returns (
        bytes1 fields,
        string memory name,
        string memory version,
        uint256 chainId,
        address verifyingContract,
        bytes32 salt,
        uint256[] memory extensions
    );
}

IEnergyToken constant ENERGY_TOKEN = IEnergyToken(0x0000000000000000000000000000000000000102);
