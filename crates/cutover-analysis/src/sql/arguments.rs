//! Arguments of functions that are secrets by their place: passwords, keys and what is encrypted, in the functions of
//! `pgcrypto` (in whichever schema, for a function of that name is as good as that one).

use std::ops::Range;

use super::lexer::Kind;
use super::tokens::Tokens;

/// Which arguments of a function are secret, counted from 0.
type Places = &'static [usize];

/// The functions, in lower case. A salt or a hash given to `crypt` is worth hiding too: it can be guessed from.
const FUNCTIONS: [(&str, Places); 14] = [
    ("crypt", &[0, 1]),
    ("hmac", &[1]),
    ("encrypt", &[0, 1]),
    ("encrypt_iv", &[0, 1, 2]),
    ("decrypt", &[1]),
    ("decrypt_iv", &[1, 2]),
    ("pgp_sym_encrypt", &[0, 1]),
    ("pgp_sym_encrypt_bytea", &[0, 1]),
    ("pgp_sym_decrypt", &[1]),
    ("pgp_sym_decrypt_bytea", &[1]),
    ("pgp_pub_encrypt", &[0]),
    ("pgp_pub_encrypt_bytea", &[0]),
    ("pgp_pub_decrypt", &[1, 2]),
    ("pgp_pub_decrypt_bytea", &[1, 2]),
];

/// Part of the name of each function with secret arguments, but for [`OTHER_PART`].
pub(super) const PART: &str = "crypt";
/// See [`PART`].
pub(super) const OTHER_PART: &str = "hmac";

/// A literal in a secret argument.
pub(super) struct Literal {
    /// With its quotes, as a range of bytes.
    pub(super) at: Range<usize>,
    /// It is the key itself, not plain text nor an argument of what gives the key.
    pub(super) certain: bool,
}

/// A call that is open.
struct Call {
    secret: Places,
    argument: usize,
    /// What is encrypted is worth hiding, but may be any word.
    plain: bool,
    /// It is `gen_salt`: the kind of a salt is no secret.
    makes_salt: bool,
}

/// The literals that are secret, or are used to make what is.
pub(super) fn secret_arguments(text: &str) -> Vec<Literal> {
    let mut found = Vec::new();
    let mut calls: Vec<Call> = Vec::new();
    let mut before = String::new();
    for token in Tokens::of_cut(text) {
        match token.kind {
            Kind::Open => {
                let function = FUNCTIONS.iter().find(|(name, _)| before.eq_ignore_ascii_case(name));
                let secret = function.map_or(&[][..], |(_, places)| *places);
                let (plain, makes_salt) = (before.contains("encrypt"), before == "gen_salt");
                calls.push(Call { secret, argument: 0, plain, makes_salt });
            }
            Kind::Close => drop(calls.pop()),
            Kind::Comma => {
                if let Some(call) = calls.last_mut() {
                    call.argument += 1;
                }
            }
            Kind::Semicolon => calls.clear(),
            Kind::String => {
                let secret = |call: &Call| call.secret.contains(&call.argument);
                let salt = calls.last().is_some_and(|call| call.makes_salt);
                if let Some(outermost) = calls.iter().position(secret).filter(|_| !salt) {
                    let itself = outermost + 1 == calls.len();
                    let plain = calls[outermost].plain && calls[outermost].argument == 0;
                    let at = token.at..token.at + token.text.len();
                    found.push(Literal { at, certain: itself && !plain });
                }
            }
            _ => {}
        }
        before = match token.kind {
            Kind::Word | Kind::QuotedIdentifier => token.name(),
            _ => String::new(),
        };
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(sql: &str, expected: &[(&str, bool)]) {
        let found: Vec<(&str, bool)> =
            secret_arguments(sql).into_iter().map(|literal| (&sql[literal.at], literal.certain)).collect();
        assert_eq!(found, expected, "{sql}");
    }

    #[test]
    fn keys_passwords_and_what_is_encrypted() {
        check(
            "SELECT pgp_sym_encrypt('data', 'key', 'cipher-algo=aes256')",
            &[("'data'", false), ("'key'", true)],
        );
        check("SELECT public . \"pgp_sym_decrypt\" (a.b, 'key')", &[("'key'", true)]);
        check(
            "SELECT crypt('s', gen_salt('bf')), crypt(x, '$2a$06$')",
            &[("'s'", true), ("'$2a$06$'", true)],
        );
        check("SELECT HMAC(f('a', 'b'), 'key', 'sha256')", &[("'key'", true)]);
        check("SELECT decrypt(a, decode('6b', 'hex'), 'aes')", &[("'6b'", false), ("'hex'", false)]);
        check("SELECT encrypt_iv(a, 'key'::bytea, 'iv', 'aes')", &[("'key'", true), ("'iv'", true)]);
        check("SELECT pgp_pub_decrypt(a, dearmor('key'), 'psw')", &[("'key'", false), ("'psw'", true)]);
        check("SELECT f((a, 'b'), 'c'), encrypted('a', 'b'), digest('a', 'sha1')", &[]);
        check("SELECT hmac(a, 'never closed", &[("'never closed", true)]);
        check("SELECT crypt; SELECT ('a')", &[]);
    }

    #[test]
    fn the_parts_are_parts_of_every_name() {
        for (name, _) in FUNCTIONS {
            assert!(name.contains(PART) || name == OTHER_PART, "{name}");
        }
    }
}
