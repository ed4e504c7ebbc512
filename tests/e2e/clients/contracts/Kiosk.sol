// SPDX-License-Identifier: UNLICENSED
pragma solidity ^0.8.24;

import {MONEY_TOKEN} from "IMoneyToken.sol";
import {IMarket, MARKET} from "IMarket.sol";

/// A kiosk that is paid in the chain's own money and reads the chain's own market.
contract Kiosk {
    event Bought(address indexed buyer, uint256 indexed item, uint256 amount, string note);

    error TooLittle(uint256 has, uint256 wants);

    address public immutable owner;
    uint256 public price;
    mapping(address => uint256) public credit;

    constructor(uint256 price_) {
        owner = msg.sender;
        price = price_;
    }

    /// Takes the price from the caller, who has approved the kiosk for it.
    function buy(uint256 item, string calldata note) external returns (uint256) {
        require(bytes(note).length != 0, "a note, please");
        require(MONEY_TOKEN.transferFrom(msg.sender, address(this), price), "not paid");
        credit[msg.sender] += price;
        emit Bought(msg.sender, item, price, note);
        return credit[msg.sender];
    }

    /// The same, with a permit instead of an approval.
    function buyWithPermit(
        uint256 item,
        string calldata note,
        uint256 deadline,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external {
        MONEY_TOKEN.permit(msg.sender, address(this), price, deadline, v, r, s);
        require(MONEY_TOKEN.transferFrom(msg.sender, address(this), price), "not paid");
        credit[msg.sender] += price;
        emit Bought(msg.sender, item, price, note);
    }

    function refund(uint256 amount) external {
        uint256 has = credit[msg.sender];
        if (has < amount) revert TooLittle(has, amount);
        credit[msg.sender] = has - amount;
        require(MONEY_TOKEN.transfer(msg.sender, amount), "not paid");
    }

    /// How many offers a window has, and how much energy they offer together.
    function offered(uint64 window) external view returns (uint256 count, uint256 wh) {
        IMarket.Offer[] memory offers = MARKET.getOffers(window);
        for (uint256 i = 0; i < offers.length; i++) wh += offers[i].quantity;
        return (offers.length, wh);
    }
}
