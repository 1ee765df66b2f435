//! TLS as nginx's directives ask for it, on rustls: certificates, keys, ciphers, sessions, verification.
//!
//! Nothing here knows a socket or an event loop: settings and files come in, `rustls` configurations and facts about
//! connections come out. What OpenSSL can do and rustls cannot is said where it is asked for: a warning where going on
//! is safe, an error where it is not.

mod algorithms;
mod certificate;
mod cipher_names;
mod ciphers;
mod client;
mod client_sessions;
mod commands;
mod contexts;
mod crl;
mod curves;
mod der;
mod distinguished_name;
mod identity;
mod identity_cache;
mod key_kind;
mod key_log;
mod legacy_pem;
mod named_certificate;
mod named_server;
mod offered;
mod passwords;
mod peer_certificate;
mod peer_name;
mod pem;
mod private_key;
#[cfg(test)]
mod rehearsal;
mod resolver;
mod restricted;
mod resumption;
mod server;
mod server_certificates;
mod sessions;
mod signatures;
mod source;
mod stapling;
mod tickets;
mod trust;
mod verify;
mod words;

pub use crate::{
    algorithms::{
        About, AlgorithmError, Algorithms, Commanded, ServerOrder, Tickets, Warning, Wish, algorithms,
        prefers_chacha, protocol_name,
    },
    cipher_names::{cipher_name, cipher_names},
    client::{ClientContext, ClientWish, PeerSessions},
    client_sessions::ClientSessions,
    contexts::Contexts,
    crl::CrlError,
    curves::{curve_name, curve_names},
    identity::{Identities, IdentityError, Pair, load},
    identity_cache::IdentityCache,
    key_log::{KeyLogError, KeyLogFile},
    named_certificate::NamedCertificate,
    named_server::NamedServer,
    passwords::{Passwords, PasswordsError},
    peer_certificate::PeerCertificate,
    peer_name::PeerName,
    resolver::Resolver,
    resumption::{ResumptionWish, SessionKeeper, ZeroRtt},
    server::{HTTP2_NAME, Offer, ServerContext, Shown},
    sessions::{SessionContext, SessionStore, SessionZone, SessionZones},
    signatures::signature_name,
    source::Source,
    stapling::{StaplingError, read_stapling, staple},
    tickets::{TicketKeyError, TicketKeys, Ticketer},
    trust::{Trust, TrustError, TrustFiles, Unusable},
    verify::{ExpectedName, VerifyError, client_verifier, upstream_verifier},
    words::words,
};
