"""JSON Web Keys and thumbprints against the RFCs' own examples and PyJWT."""

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from authd.keys.facts import JwsAlgorithm, PrivateKey
from authd.keys.jwk import thumbprint, to_jwk


def test_rsa_thumbprint_of_rfc_7638_section_3_1() -> None:
    n = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMs"
        "tn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn"
        "1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw")
    key = jwt.PyJWK({"kty": "RSA", "n": n, "e": "AQAB", "alg": "RS256"}).key
    assert thumbprint(key) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


def test_ed25519_thumbprint_of_rfc_8037_appendix_a_3() -> None:
    key = jwt.PyJWK({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}).key
    assert thumbprint(key) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


@pytest.mark.parametrize(("key", "alg"), [
    (rsa.generate_private_key(65537, 2048), "RS256"),
    (ec.generate_private_key(ec.SECP256R1()), "ES256"),
    (ed25519.Ed25519PrivateKey.generate(), "EdDSA"),
])
def test_a_signature_verifies_with_the_published_key(key: PrivateKey, alg: JwsAlgorithm) -> None:
    jwk = to_jwk(key.public_key(), "k1", alg)
    token = jwt.encode({"sub": "x"}, key, alg, headers={"kid": "k1"})
    assert jwt.decode(token, jwt.PyJWK(jwk).key, [alg]) == {"sub": "x"}
    assert (jwk["kid"], jwk["alg"], jwk["use"]) == ("k1", alg, "sig")
    assert not {"d", "p", "q"} & set(jwk)


def test_ec_coordinates_keep_their_leading_zeros() -> None:
    """RFC 7518 section 6.2.1.2: a coordinate is always 32 octets."""
    keys = (ec.generate_private_key(ec.SECP256R1()).public_key() for _ in range(100000))
    short = next(key for key in keys if key.public_numbers().x >> 248 == 0)
    assert len(to_jwk(short, "k", "ES256")["x"]) == 43
    assert jwt.PyJWK(to_jwk(short, "k", "ES256")).key.public_numbers() == short.public_numbers()
