//! `tls-server-end-point` (RFC 5929): the digest of the server's certificate that SCRAM-SHA-256-PLUS signs.

use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};
use x509_cert::Certificate;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::der::{Decode, Encode};
use x509_cert::spki::AlgorithmIdentifierOwned;

/// The digests a certificate's signature may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hash {
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

const fn oid(text: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(text)
}

const RSA_PSS: ObjectIdentifier = oid("1.2.840.113549.1.1.10");

/// Signature algorithms and the digest they use. MD5 and SHA-1 are replaced by SHA-256, as the RFC demands.
const SIGNATURES: &[(ObjectIdentifier, Hash)] = &[
    (oid("1.2.840.113549.1.1.4"), Hash::Sha256), // md5WithRSAEncryption
    (oid("1.2.840.113549.1.1.5"), Hash::Sha256), // sha1WithRSAEncryption
    (oid("1.2.840.113549.1.1.14"), Hash::Sha224), // sha224WithRSAEncryption
    (oid("1.2.840.113549.1.1.11"), Hash::Sha256), // sha256WithRSAEncryption
    (oid("1.2.840.113549.1.1.12"), Hash::Sha384), // sha384WithRSAEncryption
    (oid("1.2.840.113549.1.1.13"), Hash::Sha512), // sha512WithRSAEncryption
    (oid("1.2.840.10045.4.1"), Hash::Sha256),    // ecdsa-with-SHA1
    (oid("1.2.840.10045.4.3.1"), Hash::Sha224),  // ecdsa-with-SHA224
    (oid("1.2.840.10045.4.3.2"), Hash::Sha256),  // ecdsa-with-SHA256
    (oid("1.2.840.10045.4.3.3"), Hash::Sha384),  // ecdsa-with-SHA384
    (oid("1.2.840.10045.4.3.4"), Hash::Sha512),  // ecdsa-with-SHA512
];

/// The digests that RSASSA-PSS names in its parameters.
const DIGESTS: &[(ObjectIdentifier, Hash)] = &[
    (oid("1.3.14.3.2.26"), Hash::Sha256), // id-sha1
    (oid("2.16.840.1.101.3.4.2.4"), Hash::Sha224),
    (oid("2.16.840.1.101.3.4.2.1"), Hash::Sha256),
    (oid("2.16.840.1.101.3.4.2.2"), Hash::Sha384),
    (oid("2.16.840.1.101.3.4.2.3"), Hash::Sha512),
];

/// The binding data of a certificate (DER). `None` where the RFC defines none, e.g. for Ed25519; the login is then
/// made without channel binding.
pub(super) fn server_end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    let parsed = Certificate::from_der(certificate).ok()?;
    Some(match signature_hash(parsed.signature_algorithm())? {
        Hash::Sha224 => Sha224::digest(certificate).to_vec(),
        Hash::Sha256 => Sha256::digest(certificate).to_vec(),
        Hash::Sha384 => Sha384::digest(certificate).to_vec(),
        Hash::Sha512 => Sha512::digest(certificate).to_vec(),
    })
}

fn signature_hash(algorithm: &AlgorithmIdentifierOwned) -> Option<Hash> {
    if algorithm.oid == RSA_PSS {
        return pss_hash(algorithm);
    }
    look_up(SIGNATURES, algorithm.oid)
}

fn look_up(table: &[(ObjectIdentifier, Hash)], wanted: ObjectIdentifier) -> Option<Hash> {
    table.iter().find(|(oid, _)| *oid == wanted).map(|(_, hash)| *hash)
}

/// The first parameter of RSASSA-PSS, `[0] hashAlgorithm`; SHA-1 when it is left out.
fn pss_hash(algorithm: &AlgorithmIdentifierOwned) -> Option<Hash> {
    use x509_cert::der::asn1::ContextSpecific;
    use x509_cert::der::{Reader, SliceReader, TagNumber};
    let parameters = algorithm.parameters.as_ref()?.to_der().ok()?;
    let mut reader = SliceReader::new(&parameters).ok()?;
    let hash: Option<ContextSpecific<AlgorithmIdentifierOwned>> = reader
        .sequence(|reader| {
            let found = ContextSpecific::decode_explicit(reader, TagNumber(0))?;
            while !reader.is_finished() {
                reader.tlv_bytes()?;
            }
            Ok::<_, x509_cert::der::Error>(found)
        })
        .ok()?;
    hash.map_or(Some(Hash::Sha256), |hash| look_up(DIGESTS, hash.value.oid))
}
