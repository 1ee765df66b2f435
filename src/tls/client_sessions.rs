//! Sessions with upstreams, to be taken up again: a store for each peer, since two peers of one name know nothing of each
//! other's sessions, and rustls on its own would mix them up.
//!
//! As nginx, which keeps a session with each peer of a group; here it is also one for each name that the peer is asked by.
//! Which peer a store belongs to is its keeper's business (`client.rs`).

use std::{collections::VecDeque, fmt};

use parking_lot::Mutex;
use rustls::{
    NamedGroup,
    client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue},
};
use rustls_pki_types::ServerName;

/// Sessions with one peer under one set of TLS settings.
#[derive(Default)]
pub struct ClientSessions {
    /// Names, the one that came first in front.
    names: Mutex<VecDeque<(ServerName<'static>, Kept)>>,
}

#[derive(Default)]
struct Kept {
    group: Option<NamedGroup>,
    tls12: Option<Tls12ClientSessionValue>,
    /// Oldest first.
    tls13: VecDeque<Tls13ClientSessionValue>,
}

/// Names with sessions at one peer.
const MOST_NAMES: usize = 32;
/// Tickets of TLS 1.3 for one name, each of which is used once.
const MOST_TICKETS: usize = 8;

impl ClientSessions {
    /// Lets `change` see what is kept for a name.
    fn with<T>(&self, name: &ServerName<'_>, change: impl FnOnce(&mut Kept) -> Option<T>) -> Option<T> {
        let mut names = self.names.lock();
        names.iter_mut().find(|(known, _)| known == name).and_then(|(_, kept)| change(kept))
    }

    /// Lets `change` add to what is kept for a name, for which the oldest name goes where there are too many.
    fn add(&self, name: ServerName<'static>, change: impl FnOnce(&mut Kept)) {
        let mut names = self.names.lock();
        if let Some((_, kept)) = names.iter_mut().find(|(known, _)| *known == name) {
            return change(kept);
        }
        if names.len() == MOST_NAMES {
            names.pop_front();
        }
        let mut kept = Kept::default();
        change(&mut kept);
        names.push_back((name, kept));
    }
}

impl ClientSessionStore for ClientSessions {
    fn set_kx_hint(&self, server_name: ServerName<'static>, group: NamedGroup) {
        self.add(server_name, |kept| kept.group = Some(group));
    }

    fn kx_hint(&self, server_name: &ServerName<'_>) -> Option<NamedGroup> {
        self.with(server_name, |kept| kept.group)
    }

    fn set_tls12_session(&self, server_name: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.add(server_name, |kept| kept.tls12 = Some(value));
    }

    fn tls12_session(&self, server_name: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.with(server_name, |kept| kept.tls12.clone())
    }

    fn remove_tls12_session(&self, server_name: &ServerName<'static>) {
        self.with(server_name, |kept| kept.tls12.take());
    }

    fn insert_tls13_ticket(&self, server_name: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.add(server_name, |kept| {
            if kept.tls13.len() == MOST_TICKETS {
                kept.tls13.pop_front();
            }
            kept.tls13.push_back(value);
        });
    }

    fn take_tls13_ticket(&self, server_name: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.with(server_name, |kept| kept.tls13.pop_back())
    }
}

/// Shows no session: they are secret.
impl fmt::Debug for ClientSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientSessions({} names)", self.names.lock().len())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::{HandshakeKind, client::Resumption};

    use super::*;
    use crate::rehearsal::{self, Version};

    #[test]
    fn sessions_are_taken_up_with_the_peer_and_name_that_they_were_made_with() {
        for version in Version::ALL {
            let server = Arc::new(rehearsal::server(Arc::new(rehearsal::resolver())));
            let base = rehearsal::client(version);
            let peers = [(); 2].map(|()| Arc::new(ClientSessions::default()));
            let meet = |peer: usize, name| {
                let mut client = base.clone();
                client.resumption = Resumption::store(Arc::clone(&peers[peer]) as Arc<_>);
                let ends = rehearsal::meet_as(name, &Arc::new(client), &server).unwrap();
                ends.client.handshake_kind().unwrap()
            };
            let table = [
                ("first", 0, "a.example", HandshakeKind::Full),
                ("again", 0, "a.example", HandshakeKind::Resumed),
                ("another name", 0, "b.example", HandshakeKind::Full),
                ("another peer", 1, "a.example", HandshakeKind::Full),
                ("the first once more", 0, "a.example", HandshakeKind::Resumed),
            ];
            for (case, peer, name, wanted) in table {
                assert_eq!(meet(peer, name), wanted, "{case}, {version:?}");
            }
        }
    }

    #[test]
    fn names_and_tickets_are_bounded() {
        let server = Arc::new(rehearsal::server(Arc::new(rehearsal::resolver())));
        let sessions = Arc::new(ClientSessions::default());
        let mut client = rehearsal::client(Version::Tls13);
        client.resumption = Resumption::store(sessions.clone());
        let client = Arc::new(client);
        for _ in 0..MOST_TICKETS {
            // Each gives two tickets and takes one at most.
            rehearsal::meet(&client, &server).unwrap();
        }
        assert_eq!(sessions.names.lock()[0].1.tls13.len(), MOST_TICKETS);
        let name = |number: usize| ServerName::try_from(format!("n{number}.example")).unwrap();
        for number in 0..MOST_NAMES {
            sessions.set_kx_hint(name(number), NamedGroup::X25519);
        }
        assert_eq!(sessions.names.lock().len(), MOST_NAMES);
        assert!(sessions.take_tls13_ticket(&"a.example".try_into().unwrap()).is_none());
        assert_eq!(sessions.kx_hint(&name(0)), Some(NamedGroup::X25519));
    }
}
