import pickle

from crypto.errors import CryptoError, DecodeError


def test_decode_error_names_the_field():
    error = DecodeError("digest", "must be 32 bytes, got 31")
    assert str(error) == "digest: must be 32 bytes, got 31"
    assert (error.field, error.reason) == ("digest", "must be 32 bytes, got 31")
    assert isinstance(error, CryptoError)
    assert isinstance(error, ValueError)


def test_decode_error_survives_the_way_back_from_a_worker():
    error = pickle.loads(pickle.dumps(DecodeError("tx.nonce", "is missing")))
    assert str(error) == "tx.nonce: is missing"
