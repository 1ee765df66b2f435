//! Keeps the peers of a server what its name says: `resolve`, `service=`, and hosts that were unknown at the start.
//!
//! As nginx: a name that is gone takes its peers along, any other failure leaves them as they are.

use std::{
    net::{SocketAddr, ToSocketAddrs},
    sync::Arc,
    time::Duration,
};

use config::{LateHost, LateLookup, PeerAddress};

use super::{
    group::Group,
    peer::{Place, Rank},
};
use crate::{
    clock,
    error_log::{self, Level},
    net::{
        Resolver,
        resolver::{Service, Unresolved},
    },
};

/// An answer is not asked for again sooner, whatever time it gives. As nginx.
const SHORTEST: Duration = Duration::from_secs(1);
/// After a failure. As nginx.
const AFTER_FAILURE: Duration = Duration::from_secs(10);
/// The first pause between questions for a host that was unknown at the start; it doubles up to [`AFTER_FAILURE`].
const UNKNOWN_AT_FIRST: Duration = Duration::from_millis(500);

/// One server of a group whose addresses come from a name.
#[derive(Debug)]
pub struct Renewal {
    group: Arc<Group>,
    server: usize,
    host: LateHost,
    /// Absent where only the machine can be asked.
    resolver: Option<Arc<Resolver>>,
    patience: Duration,
    pause: Duration,
}

/// When a name is asked for again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// After this time.
    In(Duration),
    /// Not any more.
    Never,
}

/// What a name means now, and for how long.
struct Meaning {
    places: Vec<Place>,
    holds_for: Duration,
}

impl Renewal {
    /// Makes one for each server of a group that needs it.
    pub fn of_group(group: &Arc<Group>, resolver: Option<&Arc<Resolver>>, patience: Duration) -> Vec<Self> {
        let servers = group.conf.servers.iter().enumerate();
        let renewal = |(server, host): (usize, &LateHost)| Self {
            group: Arc::clone(group),
            server,
            host: host.clone(),
            resolver: resolver.cloned(),
            patience,
            pause: UNKNOWN_AT_FIRST,
        };
        servers.filter_map(|(server, conf)| Some((server, conf.late.as_ref()?))).map(renewal).collect()
    }

    /// Asks again and again, beginning after a pause.
    pub async fn keep_up(mut self, mut again: Again) {
        while let Again::In(pause) = again {
            tokio::time::sleep(pause).await;
            again = self.renew().await;
        }
    }

    /// Asks once, and gives the server the addresses that its name has now.
    pub async fn renew(&mut self) -> Again {
        let asked = match (&self.host.lookup, &self.resolver) {
            (LateLookup::Addresses, Some(resolver)) => self.addresses(resolver).await,
            (LateLookup::Service(service), Some(resolver)) => self.service(resolver, service).await,
            (LateLookup::UntilKnown, _) => {
                let pause = self.pause;
                self.pause = (pause * 2).min(AFTER_FAILURE);
                return self.renew_unknown(pause).await;
            }
            // The configuration asks for a resolver wherever there are such names.
            (LateLookup::Addresses | LateLookup::Service(_), None) => return Again::Never,
        };
        match asked {
            Ok(meaning) => {
                self.group.replace(self.server, &meaning.places);
                Again::In(meaning.holds_for.max(SHORTEST))
            }
            Err(why) => {
                let name = self.asked_name();
                error_log::write(Level::Error, format_args!("{name} could not be resolved ({why})"));
                if why.is_not_found() {
                    self.group.replace(self.server, &[]);
                }
                Again::In(self.pause_after_failure())
            }
        }
    }

    /// `valid=` holds for failures too.
    fn pause_after_failure(&self) -> Duration {
        let valid = self.resolver.as_ref().and_then(|resolver| resolver.valid());
        valid.map_or(AFTER_FAILURE, |valid| valid.max(SHORTEST))
    }

    fn asked_name(&self) -> &str {
        match &self.host.lookup {
            LateLookup::Service(service) => service,
            LateLookup::Addresses | LateLookup::UntilKnown => &self.host.host,
        }
    }

    async fn addresses(&self, resolver: &Arc<Resolver>) -> Result<Meaning, Unresolved> {
        let addresses = resolver.addresses(&self.host.host, self.patience).await?;
        let place = |ip| Place::new(PeerAddress::Inet(SocketAddr::new(ip, self.host.port)));
        Ok(Meaning {
            places: addresses.list().iter().copied().map(place).collect(),
            holds_for: addresses.valid_until().since(clock::moment()),
        })
    }

    async fn service(&self, resolver: &Arc<Resolver>, name: &str) -> Result<Meaning, Unresolved> {
        let answer = resolver.services(name, self.patience).await?;
        let mut meaning = Meaning { places: Vec::new(), holds_for: answer.ttl };
        let is_backup = self.group.conf.servers[self.server].backup;
        let mut failed = None;
        for (service, rank) in ranked(answer.found, if is_backup { Rank::Backup } else { Rank::Primary }) {
            match resolver.addresses(&service.target, self.patience).await {
                Ok(addresses) => {
                    let weight = (service.weight > 0).then_some(u32::from(service.weight));
                    let place = |ip| Place {
                        address: PeerAddress::Inet(SocketAddr::new(ip, service.port)),
                        weight,
                        rank: Some(rank),
                    };
                    meaning.places.extend(addresses.list().iter().copied().map(place));
                    let holds_for = addresses.valid_until().since(clock::moment());
                    meaning.holds_for = meaning.holds_for.min(holds_for);
                }
                Err(why) => failed = Some(why),
            }
        }
        match failed {
            Some(why) if meaning.places.is_empty() => Err(why),
            _ => Ok(meaning),
        }
    }

    async fn renew_unknown(&self, pause: Duration) -> Again {
        let (host, port) = (self.host.host.clone(), self.host.port);
        let found: Vec<SocketAddr> = match &self.resolver {
            Some(resolver) => match resolver.addresses(&host, self.patience).await {
                Ok(addresses) => addresses.list().iter().map(|ip| SocketAddr::new(*ip, port)).collect(),
                Err(_) => Vec::new(),
            },
            None => {
                let lookup = move || (host.as_str(), port).to_socket_addrs().map(Iterator::collect);
                tokio::task::spawn_blocking(lookup).await.ok().and_then(Result::ok).unwrap_or_default()
            }
        };
        if found.is_empty() {
            return Again::In(pause);
        }
        let places: Vec<Place> =
            found.into_iter().map(|found| Place::new(PeerAddress::Inet(found))).collect();
        self.group.replace(self.server, &places);
        let (host, group) = (&self.host.host, &self.group.conf.name);
        error_log::write(Level::Notice, format_args!("host \"{host}\" of upstream \"{group}\" is known now"));
        Again::Never
    }
}

/// As nginx: the services with the lowest number of priority have the rank of the server, the others are its backups;
/// a server that is a backup itself has no others.
fn ranked(services: Vec<Service>, rank: Rank) -> Vec<(Service, Rank)> {
    let first = services.iter().map(|service| service.priority).min();
    let of = |service: &Service| match rank {
        _ if Some(service.priority) == first => Some(rank),
        Rank::Primary => Some(Rank::Backup),
        Rank::Backup => None,
    };
    services.into_iter().filter_map(|service| of(&service).map(|rank| (service, rank))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_of_lower_priority_are_backups() {
        let service =
            |priority, target: &str| Service { priority, weight: 0, port: 80, target: target.into() };
        let services = || vec![service(5, "later"), service(1, "first"), service(1, "too")];
        let names = |rank| -> Vec<(String, Rank)> {
            let ranked = ranked(services(), rank).into_iter();
            ranked.map(|(service, rank)| (service.target.to_string(), rank)).collect()
        };
        let named = |name: &str, rank| (name.to_owned(), rank);
        assert_eq!(
            names(Rank::Primary),
            [named("later", Rank::Backup), named("first", Rank::Primary), named("too", Rank::Primary)]
        );
        assert_eq!(names(Rank::Backup), [named("first", Rank::Backup), named("too", Rank::Backup)]);
    }
}
