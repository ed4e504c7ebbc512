import pytest

from crypto import keyfile
from crypto.errors import DecodeError, KeystoreError
from crypto.keystore import HouseholdKeys, MeterKeys

ENTROPY = bytes(range(32))


def secrets_of(keys):
    return [
        keys.node.seed,
        keys.account.secret,
        keys.agent("seller").secret,
        keys.agent("buyer").secret,
        keys.wallet_view,
        keys.wallet_spend,
        keys.ring_seed,
        keys.data_key,
        keys.relay_box_key,
    ]


def test_the_derivation_never_changes():
    """Pinned: a change would turn every backup into other keys."""
    keys = HouseholdKeys.from_entropy(ENTROPY)
    assert (
        keys.node.public.hex() == "339c582aa73a0c2ac31f90865eedcf8cda7a74baef298f6982c0ea9ca0a79891"
    )
    assert keys.account.address.hex() == "ec3ed7007a271af5eeac2a74738d5c7499d1449d"
    assert keys.agent("seller").address.hex() == "9d67637554aa44d689b6000c27ef58c88c444f0c"
    assert (
        keys.relay_box_key.hex()
        == "5fec69b1edc0dc79fdeb1c4981dd2931fe81c27e7dc5196ec80d21d39e030464"
    )
    assert (
        MeterKeys.from_entropy(ENTROPY).account.address.hex()
        == "f7cb3b980ae18e667cc338b1a62b10e3396d3558"
    )


def test_all_secrets_differ_and_come_back():
    keys, meter = HouseholdKeys.from_entropy(ENTROPY), MeterKeys.from_entropy(ENTROPY)
    all_secrets = [*secrets_of(keys), meter.account.secret, meter.ring_seed, ENTROPY]
    assert len(set(all_secrets)) == len(all_secrets)
    assert {len(secret) for secret in all_secrets} == {32}
    assert secrets_of(HouseholdKeys.from_entropy(ENTROPY)) == secrets_of(keys)


def test_fresh_keys_differ():
    assert HouseholdKeys.generate().account.address != HouseholdKeys.generate().account.address
    assert MeterKeys.generate().account.address != MeterKeys.generate().account.address


def test_24_words_restore_everything():
    keys = HouseholdKeys.generate()
    words = keys.words()
    assert len(words.split()) == 24
    assert secrets_of(HouseholdKeys.from_words(words)) == secrets_of(keys)
    spaced = "\n ".join(words.upper().split())
    assert secrets_of(HouseholdKeys.from_words(spaced)) == secrets_of(keys)


@pytest.mark.parametrize(
    ("entropy", "words"),
    [
        (bytes(32), "abandon " * 23 + "art"),
        (b"\xff" * 32, "zoo " * 23 + "vote"),
        (b"\x7f" * 32, "legal winner thank year wave sausage worth useful " * 2
         + "legal winner thank year wave sausage worth title"),
        (b"\x80" * 32, "letter advice cage absurd amount doctor acoustic avoid " * 2
         + "letter advice cage absurd amount doctor acoustic bless"),
    ],
)  # fmt: skip
def test_bip_39_vectors(entropy, words):
    """The published vectors of 256 bits."""
    assert HouseholdKeys.from_entropy(entropy).words() == words
    assert secrets_of(HouseholdKeys.from_words(words)) == secrets_of(
        HouseholdKeys.from_entropy(entropy)
    )


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("", "words: must be 24, got 0"),
        ("abandon " * 12, "words: must be 24, got 12"),
        ("abandon " * 22 + "abandom art", "words: word 23, 'abandom', is not in the list"),
        ("abandon " * 24, "words: checksum is wrong"),
        ("zoo " * 22 + "vote zoo", "words: checksum is wrong"),
    ],
)
def test_a_wrong_backup_says_what_is_wrong(words, reason):
    with pytest.raises(DecodeError, match=reason):
        HouseholdKeys.from_words(words)


@pytest.mark.parametrize("kind", [HouseholdKeys, MeterKeys])
def test_entropy_is_32_bytes(kind):
    with pytest.raises(DecodeError, match="entropy: must be 32 bytes, got 31"):
        kind.from_entropy(bytes(31))


@pytest.mark.parametrize("name", ["", "x" * 65])
def test_an_agent_has_a_name(name):
    with pytest.raises(DecodeError, match="name: must be 1 to 64 characters"):
        HouseholdKeys.from_entropy(ENTROPY).agent(name)


@pytest.mark.parametrize("kind", [HouseholdKeys, MeterKeys])
def test_a_key_file_gives_the_keys_back(kind, tmp_path):
    keys = kind.generate()
    keys.save(tmp_path / "k", "password", cost="min")
    again = kind.load(tmp_path / "k", "password")
    assert again.account.secret == keys.account.secret
    assert again.ring_seed == keys.ring_seed


def test_neither_opens_the_other_s_file(tmp_path):
    MeterKeys.generate().save(tmp_path / "meter.keys", "password", cost="min")
    with pytest.raises(KeystoreError, match="of kind meter, expected household"):
        HouseholdKeys.load(tmp_path / "meter.keys", "password")


def test_a_key_file_with_another_secret_is_refused(tmp_path):
    keyfile.create(tmp_path / "k", kind="meter", secret=b"short", password="x", cost="min")
    with pytest.raises(KeystoreError, match="holds 5 bytes, expected 32"):
        MeterKeys.load(tmp_path / "k", "x")


def test_no_keys_show_their_secrets():
    for keys in (HouseholdKeys.from_entropy(ENTROPY), MeterKeys.from_entropy(ENTROPY)):
        assert ENTROPY.hex() not in repr(keys)
        assert repr(ENTROPY) not in repr(keys)
        assert keys.account.secret.hex() not in repr(keys)
