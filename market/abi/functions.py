"""Every function of the market's contracts, in Solidity's words."""

from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True, slots=True)
class Function:
    """One contract function, in Solidity's words."""

    name: str
    inputs: str
    """ "uint64 window,uint64 quantity": type and name, no spaces after commas."""
    outputs: str = ""
    """The same; or "(uint64 id,address seller)[]", one list of rows."""
    is_view: bool = False
    row: str = ""
    """What one row of a list is called, "Offer": its struct in the published interfaces."""

    @property
    def input_types(self) -> tuple[str, ...]:
        """Canonical types of the arguments: what `crypto.abi.encode` takes."""
        return _words(self.inputs, 0)

    @property
    def output_types(self) -> tuple[str, ...]:
        """Canonical types of what it returns: what `crypto.abi.decode` takes."""
        if self.outputs.startswith("("):
            return (f"({','.join(_words(self.outputs[1:-3], 0))})[]",)
        return _words(self.outputs, 0)

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of the arguments in order."""
        return _words(self.inputs, 1)

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the returned values, or of the fields of a row."""
        return _words(self.outputs.removeprefix("(").removesuffix(")[]"), 1)

    @property
    def signature(self) -> str:
        """Canonical signature: "enrol(uint64)"."""
        return f"{self.name}({','.join(self.input_types)})"


def _words(declarations: str, index: int) -> tuple[str, ...]:
    return tuple(part.split()[index] for part in declarations.split(",")) if declarations else ()


def _table(*functions: Function) -> dict[str, Function]:
    return {function.name: function for function in functions}


def _view(name: str, inputs: str, outputs: str, row: str = "") -> Function:
    return Function(name, inputs, outputs, is_view=True, row=row)


_PROPOSAL = (
    "uint64 id,uint8 kind,address account,uint64 yes,uint64 no,uint8 status,uint64 expiresWindow"
)
_WITHDRAWAL = "uint64 id,address household,uint256 amount,bytes32 payoutHash,uint64 votes,bool paid"
_AGREEMENT = (
    "bytes32 id,uint64 window,uint64 offerId,address seller,address buyer,uint64 quantity,"
    "uint64 price,uint8 status"
)
_ERC20 = _table(
    _view("name", "", "string value"),
    _view("symbol", "", "string value"),
    _view("decimals", "", "uint8 value"),
    _view("totalSupply", "", "uint256 amount"),
    _view("balanceOf", "address account", "uint256 amount"),
    _view("allowance", "address owner,address spender", "uint256 amount"),
    Function("transfer", "address to,uint256 amount", "bool ok"),
    Function("approve", "address spender,uint256 amount", "bool ok"),
    Function("transferFrom", "address owner,address to,uint256 amount", "bool ok"),
    Function(
        "permit",
        "address owner,address spender,uint256 value,uint256 deadline,uint8 v,bytes32 r,bytes32 s",
    ),
    _view("nonces", "address owner", "uint256 nonce"),
    _view("DOMAIN_SEPARATOR", "", "bytes32 separator"),
    _view(
        "eip712Domain",
        "",
        "bytes1 fields,string name,string version,uint256 chainId,address verifyingContract,"
        "bytes32 salt,uint256[] extensions",
    ),
)

FUNCTIONS: dict[str, dict[str, Function]] = {
    "Membership": _table(
        Function(
            "propose",
            "bytes32 nodeKey,address account,bytes32 ringKey,bytes ringProof,bytes wallet,"
            "string endpoint,address meter,bytes32 meterRingKey,string meterId,"
            "bytes certificate,string name,bytes nodeSignature,bytes accountSignature",
            "uint64 id",
        ),
        Function("proposeEviction", "address member", "uint64 id"),
        Function(
            "proposeRotation",
            "bytes32 nodeKey,bytes certificate,string endpoint,bytes nodeSignature",
            "uint64 id",
        ),
        Function("proposeReincarnation", "", "uint64 id"),
        Function("vote", "uint64 id,bool yes"),
        Function("proposeUpgrade", "uint64 version,uint64 height", "uint64 id"),
        Function("supportUpgrade", "uint64 id,uint64 supported"),
        Function("rekey", "uint64 epoch,bytes32 keyHash,bytes boxes"),
        Function("disputeBox", "uint64 epoch,bytes32 shared,bytes proof"),
        _view(
            "members",
            "",
            "(address account,bytes32 nodeKey,string endpoint,address meter)[]",
            "Member",
        ),
        _view(
            "nodes",
            "",
            "(address account,bytes32 nodeKey,string endpoint,string name,bytes certificate,"
            "uint64 incarnation)[]",
            "Node",
        ),
        _view(
            "epoch",
            "",
            "uint64 epoch,uint64 firstHeight,uint64 firstTerm,uint64 termBlocks,uint64 quorum,"
            "bytes32 membersHash",
        ),
        _view("proposals", "", f"({_PROPOSAL})[]", "Proposal"),
        _view("proposal", "uint64 id", _PROPOSAL),
        _view(
            "candidate",
            "uint64 id",
            "bytes32 nodeKey,string endpoint,string name,bytes certificate,address meter,"
            "string meterId",
        ),
        _view(
            "waiting",
            "",
            "(uint64 id,uint8 kind,address account,bytes32 newcomer,string endpoint,string name,"
            "bytes certificate,bytes32 keysHash,uint64 expiresWindow)[]",
            "Waiting",
        ),
        _view("nextKeys", "uint64 id", "bytes32[] keys"),
        _view(
            "communityKey",
            "",
            "bool isDealt,bool isDue,uint64 epoch,address dealer,bytes32 keyHash,bytes boxes",
        ),
        _view("isBarred", "uint64 epoch,address dealer", "bool barred"),
        _view("threshold", "", "uint64 votes"),
        _view("upgrade", "uint64 id", "uint64 version,uint64 height"),
        _view(
            "protocol",
            "",
            "uint64 version,uint64 height,uint64 nextVersion,uint64 nextHeight,uint64 votes",
        ),
        _view("quota", "address account", "uint64 used,uint64 limit,uint64 window"),
    ),
    "Registry": _table(
        Function("registerAgent", "address agent,bytes consent"),
        Function("revokeAgent", "address agent"),
        Function("publishInfo", "bytes32 boxKey,bytes sealedHousehold,string endpoint"),
        _view("info", "address agent", "bytes32 boxKey,bytes sealedHousehold,string endpoint"),
        _view("agentsOf", "address household", "address[] agents"),
        _view("householdOf", "address account", "address household"),
        _view("keysOf", "address household", "bytes32 ringKey,bytes wallet"),
    ),
    "EnergyToken": _ERC20,
    "MoneyToken": _ERC20,
    "Ramp": _table(
        Function("attestDeposit", "bytes32 reference,address to,uint256 amount"),
        Function("requestWithdrawal", "uint256 amount,bytes32 payoutHash", "uint64 id"),
        Function("confirmPayout", "uint64 id,bytes32 reference"),
        _view("deposit", "bytes32 reference", "bool minted,address to,uint256 amount"),
        _view("withdrawal", "uint64 id", _WITHDRAWAL),
        _view("pending", "", f"({_WITHDRAWAL})[]", "Withdrawal"),
    ),
    "Meters": _table(
        Function(
            "certify",
            "address meter,address household,bytes32 ringKey,string meterId,"
            "uint64 validUntilWindow",
        ),
        Function("audit", "address meter,uint64 validUntilWindow"),
        Function("revoke", "address meter"),
        Function("anchor", "uint64 window,bytes32 batchHash"),
        _view(
            "meter",
            "address account",
            "address household,bytes32 ringKey,string meterId,uint64 validUntilWindow,"
            "uint64 expRegister,uint64 impRegister,uint64 chargedRegister,"
            "uint64 dischargedRegister,uint64 lossRegister,uint64 pagination,"
            "uint64 expAccounted,uint64 impAccounted",
        ),
        _view("meterOf", "address household", "address meter"),
        _view("batchOf", "address household,uint64 window", "bytes32 batchHash"),
    ),
    "Market": _table(
        Function("enrol", "uint64 window"),
        Function(
            "makeOffer",
            "uint64 window,uint8 kind,uint64 quantity,bytes32 negotiationKey,bytes conditions",
            "uint64 offerId",
        ),
        Function(
            "makeCall", "uint64 window,uint64 quantity,bytes32 negotiationKey", "uint64 callId"
        ),
        Function(
            "allowTransaction",
            "uint64 window,uint64 offerId,address buyer,uint64 quantity,uint64 price,"
            "uint64 nonce,bytes acceptance",
            "bytes32 agreementId",
        ),
        Function("confirm", "bytes32 agreementId"),
        Function(
            "attest",
            "uint64 window,address account,uint64 expRegister,uint64 impRegister,"
            "uint64 chargedRegister,uint64 dischargedRegister,uint64 lossRegister,"
            "uint64 pagination,bytes32 recordHash",
        ),
        Function("close", "uint64 window,uint64 sur,uint64 unu,uint64 ext,uint64 sho"),
        Function("settle", "uint64 window"),
        Function("makeTransaction", "uint64 window,address account"),
        Function("depositReserve", "uint256 amount"),
        Function("withdrawReserve", "uint256 amount"),
        Function("withdrawFund", "uint256 amount"),
        Function("setCap", "uint64 window,uint64 cap"),
        _view(
            "getOffers",
            "uint64 window",
            "(uint64 id,address seller,uint8 kind,uint64 quantity,uint64 sold,"
            "bytes32 negotiationKey,bytes conditions)[]",
            "Offer",
        ),
        _view(
            "getCalls",
            "uint64 window",
            "(uint64 id,address buyer,uint64 quantity,uint64 bought,bytes32 negotiationKey)[]",
            "Call",
        ),
        _view("phase", "uint64 window", "uint8 phase"),
        _view(
            "parameters",
            "",
            "uint64 retail,uint64 feedIn,uint64 penalty,uint64 k,uint64 attestWindows,"
            "uint64 closeWindows,uint64 settleWindows,uint64 lateWindows,uint64 confirmFee,"
            "uint64 agreementsMax,uint64 offersMax,uint64 quantityMax,uint256 deposit,"
            "uint64 genesisTimeMs,uint64 windowMs,uint64 recordMs",
        ),
        _view(
            "terms",
            "uint64 window",
            "uint64 retail,uint64 feedIn,uint64 penalty,uint64 cap,uint256 deposit,"
            "bool reserveLocked",
        ),
        _view("enrolments", "uint64 window", "address[] accounts"),
        _view("enrolmentOf", "uint64 window,address household", "address account"),
        _view(
            "enrolment",
            "uint64 window,address account",
            "address household,uint64 sold,uint64 bought,bool attested,uint64 exp,uint64 imp,"
            "bool closed,uint64 sur,uint64 unu,uint64 ext,uint64 sho,bool paid,uint256 payout",
        ),
        _view("agreement", "bytes32 id", _AGREEMENT),
        _view("agreements", "uint64 window", f"({_AGREEMENT})[]", "Agreement"),
        _view(
            "totals",
            "uint64 window",
            "bool settled,uint64 surplus,uint64 deficit,uint64 matched,uint64 pSur,uint64 pExt,"
            "uint64 pUnu,uint64 pSho",
        ),
        _view(
            "fund",
            "",
            "int256 fund,uint256 reserveFree,uint256 reserveLocked,uint256 depositsLocked",
        ),
        _view("escrow", "uint64 window", "uint256 energy"),
        _view("energyDebt", "address household", "uint256 debt"),
    ),
    "Accountability": _table(
        Function("reportEvidence", "bytes evidence", "bytes32 nodeKey"),
        _view(
            "offences",
            "uint64 first",
            "(bytes32 nodeKey,address account,uint8 offence,uint8 kind,uint64 epoch,uint64 term,"
            "uint64 atView,uint64 height,uint64 reportedHeight)[]",
            "Offence",
        ),
        _view("count", "", "uint64 offences"),
        _view("offencesOf", "bytes32 nodeKey", "uint64 offences"),
        _view("isRecorded", "bytes evidence", "bool recorded"),
    ),
}
"""Contract name to function name to function. `agentsOf` and `enrolments` return "address[]"."""
