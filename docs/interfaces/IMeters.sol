// SPDX-License-Identifier: UNLICENSED
pragma solidity ^0.8.0;

/// Native contract Meters of every Hearth chain.
/// Made by `hearth contract abi Meters --format sol`.
interface IMeters {
    /// `meter` may attest for `household` up to and including the window.
    event MeterCertified(address indexed meter, address indexed household, uint64 validUntilWindow);

    /// `meter` may not attest any more.
    event MeterRevoked(address indexed meter, address indexed household);

    /// Hash of a household's data of one window.
    event BatchAnchored(address indexed household, uint64 indexed window, bytes32 batchHash);

    /// Vouch for a meter; it may attest for `household` and send transactions.
    ///
    /// Reverts:
    ///     NOT_OPERATOR.
    ///     NOT_MEMBER: `household` is no member.
    ///     BAD_RECIPIENT: the meter's account is zero or a native contract.
    ///     ALREADY_CERTIFIED: this meter was certified before, or the household has another one.
    ///     ALREADY_REGISTERED: the account is registered for something else.
    ///     CERTIFICATE_EXPIRED: already at once.
    ///     BAD_ARGUMENT: the id's length.
    ///
    /// Emits: MeterCertified.
    function certify(
        address meter,
        address household,
        bytes32 ringKey,
        string calldata meterId,
        uint64 validUntilWindow
    ) external;

    /// Renew a certificate after an audit: also one that has expired, never one revoked.
    ///
    /// Reverts:
    ///     NOT_OPERATOR, UNKNOWN_METER.
    ///     BAD_ARGUMENT: not later than before.
    ///
    /// Emits: MeterCertified.
    function audit(address meter, uint64 validUntilWindow) external;

    /// End a certificate now; the account may send no more. The registers stay as they were.
    ///
    /// Reverts:
    ///     NOT_OPERATOR, UNKNOWN_METER.
    ///
    /// Emits: MeterRevoked.
    function revoke(address meter) external;

    /// Bind a household's data of a window; by any of its accounts, its meter included.
    ///
    /// Reverts:
    ///     NOT_MEMBER: the caller's household.
    ///     WRONG_PHASE: the window has not begun.
    ///     CERTIFICATE_EXPIRED: the caller is a meter whose certificate does not cover the window.
    ///     BAD_ARGUMENT: a hash of zeros.
    ///     ALREADY_ANCHORED.
    ///
    /// Emits: BatchAnchored.
    function anchor(uint64 window, bytes32 batchHash) external;

    /// Return the certificate, the last registers and what was accounted.
    ///
    /// Reverts:
    ///     UNKNOWN_METER.
    function meter(address account) external view returns (
        address household,
        bytes32 ringKey,
        string memory meterId,
        uint64 validUntilWindow,
        uint64 expRegister,
        uint64 impRegister,
        uint64 chargedRegister,
        uint64 dischargedRegister,
        uint64 lossRegister,
        uint64 pagination,
        uint64 expAccounted,
        uint64 impAccounted
    );

    /// Return the household's meter; zero if it has none.
    function meterOf(address household) external view returns (address meter);

    /// Return the anchored hash; zero if there is none.
    function batchOf(address household, uint64 window) external view returns (bytes32 batchHash);
}

IMeters constant METERS = IMeters(0x0000000000000000000000000000000000000105);
