//! Tickets: sessions that clients keep themselves, sealed (RFC 5077, RFC 8446 section 4.6.1).
//!
//! A ticket is the name of the key, the nonce, and AES-256-GCM's text of the time and the session. What a server's
//! [`SessionContext`] is goes into the seal, so that no other server opens it. Keys come from files of nginx's two sizes, for
//! several machines to share, or are made here and changed once in each `ssl_session_timeout`; the one before still opens. Each
//! secret is derived from the one before it, which is then forgotten, so that processes that began with the same one agree.
//! Tickets of nginx cannot be opened here, nor the other way round: only the material of the keys is the same.

use std::{
    fmt, fs,
    io::{self, Read as _},
    mem,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    error::Unspecified,
    hkdf,
};
use config::system_words;
use parking_lot::Mutex;
use rustls::{server::ProducesTickets, time_provider::TimeProvider};
use rustls_pki_types::UnixTime;
use thiserror::Error;

use crate::sessions::SessionContext;

/// Keys that tickets are sealed with, for all servers that have the same.
pub struct TicketKeys(Kind);

enum Kind {
    /// From files: the first seals, all open.
    Fixed(Vec<Arc<Key>>),
    /// Made here.
    Changing { every_seconds: u64, ring: Box<Mutex<Ring>> },
}

struct Key {
    name: [u8; NAME_LEN],
    seal: RandomizedNonceKey,
}

struct Ring {
    current: Arc<Key>,
    before: Option<Arc<Key>>,
    /// What the current key is made of, and the next secret.
    secret: [u8; SECRET_LEN],
    /// Which key it is, counted since 1970.
    number: u64,
}

/// Why a file gives no key, in nginx's words.
#[derive(Debug, Error)]
pub enum TicketKeyError {
    /// It cannot be opened.
    #[error("open() \"{}\" failed ({})", path.display(), system_words(source))]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It cannot be read.
    #[error("read() \"{}\" failed ({})", path.display(), system_words(source))]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It has another size than nginx's keys have.
    #[error("\"{}\" must be 48 or 80 bytes", path.display())]
    Size {
        /// The file.
        path: PathBuf,
    },
    /// The cryptography failed.
    #[error("\"{}\" gives no key", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
    },
}

const NAME_LEN: usize = 16;
const TIME_LEN: usize = 8;
const SECRET_LEN: usize = 32;
/// Whoever comes after more keys than this gets one made anew.
const MOST_STEPS: u64 = 100_000;
/// The sizes of nginx's files: a name, a key of HMAC, a key of AES.
const FILE_SIZES: [usize; 2] = [48, 80];

impl TicketKeys {
    /// Reads files of `ssl_session_ticket_key`; there must be one at least.
    pub fn read(paths: &[PathBuf]) -> Result<Arc<Self>, TicketKeyError> {
        let keys = paths.iter().map(|path| read_key(path).map(Arc::new)).collect::<Result<_, _>>()?;
        Ok(Arc::new(Self(Kind::Fixed(keys))))
    }

    /// Makes keys, a new one for each `timeout` since 1970. Whoever shares them before a fork agrees on all later ones.
    pub fn changing(timeout: Duration, now: UnixTime) -> Result<Arc<Self>, Unspecified> {
        let every_seconds = timeout.as_secs().max(1);
        let ring = Box::new(Mutex::new(Ring::new(now.as_secs() / every_seconds)?));
        Ok(Arc::new(Self(Kind::Changing { every_seconds, ring })))
    }

    /// The key that seals now.
    fn sealing(&self, now: u64) -> Option<Arc<Key>> {
        match &self.0 {
            Kind::Fixed(keys) => keys.first().cloned(),
            Kind::Changing { every_seconds, ring } => {
                let mut ring = ring.lock();
                ring.turn(now / every_seconds).ok()?;
                Some(Arc::clone(&ring.current))
            }
        }
    }

    /// The key of a name.
    fn opening(&self, name: &[u8], now: u64) -> Option<Arc<Key>> {
        match &self.0 {
            Kind::Fixed(keys) => keys.iter().find(|key| key.name == name).cloned(),
            Kind::Changing { every_seconds, ring } => {
                let mut ring = ring.lock();
                ring.turn(now / every_seconds).ok()?;
                [Some(&ring.current), ring.before.as_ref()]
                    .into_iter()
                    .flatten()
                    .find(|key| key.name == name)
                    .cloned()
            }
        }
    }
}

impl Ring {
    fn new(number: u64) -> Result<Self, Unspecified> {
        let mut secret = [0; SECRET_LEN];
        aws_lc_rs::rand::fill(&mut secret)?;
        Ok(Self { current: Arc::new(Key::of_secret(&secret)?), before: None, secret, number })
    }

    /// Goes on to the key of a number; never back, whatever the clock does.
    fn turn(&mut self, number: u64) -> Result<(), Unspecified> {
        let steps = number.saturating_sub(self.number);
        if steps > MOST_STEPS {
            *self = Self::new(number)?;
        }
        while self.number < number {
            self.secret = derived(&self.secret, b"next")?;
            self.number += 1;
            let next = Arc::new(Key::of_secret(&self.secret)?);
            self.before = Some(mem::replace(&mut self.current, next));
        }
        Ok(())
    }
}

/// Derives bytes from a secret, which they do not tell.
fn derived<const N: usize>(secret: &[u8], what: &[u8]) -> Result<[u8; N], Unspecified> {
    struct Length(usize);
    impl hkdf::KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }
    let mut bytes = [0; N];
    let key = hkdf::Salt::new(hkdf::HKDF_SHA256, b"larder tickets").extract(secret);
    key.expand(&[what], Length(N))?.fill(&mut bytes)?;
    Ok(bytes)
}

impl Key {
    fn new(name: &[u8; NAME_LEN], key: &[u8]) -> Result<Self, Unspecified> {
        Ok(Self { name: *name, seal: RandomizedNonceKey::new(&AES_256_GCM, key)? })
    }

    fn of_secret(secret: &[u8]) -> Result<Self, Unspecified> {
        Self::new(&derived(secret, b"name")?, &derived::<32>(secret, b"key")?)
    }

    /// Takes nginx's material: the name as it is, the key derived from all of it.
    fn of_material(material: &[u8]) -> Result<Self, Unspecified> {
        let name = material.first_chunk().ok_or(Unspecified)?;
        Self::new(name, &derived::<32>(material, b"key")?)
    }
}

fn read_key(path: &Path) -> Result<Key, TicketKeyError> {
    let path = path.to_path_buf();
    let mut material = Vec::new();
    let file = match fs::File::open(&path) {
        Ok(file) => file,
        Err(source) => return Err(TicketKeyError::Open { path, source }),
    };
    if let Err(source) = file.take(128).read_to_end(&mut material) {
        return Err(TicketKeyError::Read { path, source });
    }
    if !FILE_SIZES.contains(&material.len()) {
        return Err(TicketKeyError::Size { path });
    }
    Key::of_material(&material).map_err(|_| TicketKeyError::Unusable { path })
}

/// Shows how many keys there are and none of them.
impl fmt::Debug for TicketKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Fixed(keys) => write!(f, "TicketKeys({})", keys.len()),
            Kind::Changing { every_seconds, .. } => write!(f, "TicketKeys(new after {every_seconds}s)"),
        }
    }
}

/// Seals and opens the tickets of one server.
#[derive(Debug)]
pub struct Ticketer {
    keys: Arc<TicketKeys>,
    context: SessionContext,
    timeout: Duration,
    clock: Arc<dyn TimeProvider>,
}

impl Ticketer {
    /// Lets a server use keys; its tickets are good for `timeout`.
    pub fn new(
        keys: Arc<TicketKeys>,
        context: SessionContext,
        timeout: Duration,
        clock: Arc<dyn TimeProvider>,
    ) -> Self {
        Self { keys, context, timeout, clock }
    }

    fn seal(&self, plain: &[u8], now: u64) -> Option<Vec<u8>> {
        let key = self.keys.sealing(now)?;
        let mut text = [&now.to_be_bytes(), plain].concat();
        let nonce = key.seal.seal_in_place_append_tag(Aad::from(self.context.bytes()), &mut text).ok()?;
        Some([&key.name, nonce.as_ref().as_slice(), &text].concat())
    }

    fn open(&self, ticket: &[u8], now: u64) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_at_checked(NAME_LEN)?;
        let (nonce, text) = rest.split_at_checked(NONCE_LEN)?;
        let key = self.keys.opening(name, now)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut text = text.to_vec();
        let plain = key.seal.open_in_place(nonce, Aad::from(self.context.bytes()), &mut text).ok()?;
        let (time, session) = plain.split_first_chunk::<TIME_LEN>()?;
        // Machines that share keys may differ about the time.
        let age = now.saturating_sub(u64::from_be_bytes(*time));
        (age < self.timeout.as_secs()).then(|| session.to_vec())
    }

    fn now(&self) -> Option<u64> {
        self.clock.current_time().map(|time| time.as_secs())
    }
}

impl ProducesTickets for Ticketer {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        // RFC 8446, 4.6.1: no more than a week.
        const WEEK: u64 = 7 * 24 * 3600;
        u32::try_from(self.timeout.as_secs().min(WEEK)).unwrap_or(u32::MAX)
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.seal(plain, self.now()?)
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.open(cipher, self.now()?)
    }
}

#[cfg(test)]
mod tests;
