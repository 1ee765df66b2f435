//! The ring of `hash ... consistent`: each server has points on it, and a key belongs to the next point.
//!
//! The points are nginx's (160 for each unit of weight, as Cache::Memcached::Fast has them), so that a key finds the server
//! that it finds there.

/// Points for each unit of weight.
const POINTS_PER_WEIGHT: i64 = 160;

/// The points of all servers, in order.
#[derive(Debug, Default)]
pub struct Ring {
    points: Vec<Point>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Point {
    hash: u32,
    server: usize,
}

impl Ring {
    /// Sets up the points of peers: number and name of each one's server, and its weight.
    pub fn new<'a>(peers: impl Iterator<Item = (usize, &'a str, i64)>) -> Self {
        let mut points: Vec<Point> = peers
            .flat_map(|(server, name, weight)| hashes(name, weight).map(move |hash| Point { hash, server }))
            .collect();
        points.sort_by_key(|point| point.hash);
        points.dedup_by_key(|point| point.hash);
        Self { points }
    }

    /// Returns where a key stands on the ring.
    pub fn place(&self, key: &[u8]) -> usize {
        let hash = crc32fast::hash(key);
        self.points.partition_point(|point| point.hash < hash)
    }

    /// Returns the server of a place; places go round. None where the ring is empty.
    pub fn server_at(&self, place: usize) -> Option<usize> {
        let index = place.checked_rem(self.points.len())?;
        Some(self.points[index].server)
    }
}

/// Works out the points of a server by the name that it has in the configuration.
fn hashes(name: &str, weight: i64) -> impl Iterator<Item = u32> {
    let (host, port) = host_and_port(name);
    let mut base = crc32fast::Hasher::new();
    base.update(host.as_bytes());
    base.update(b"\0");
    base.update(port.as_bytes());
    let mut previous = 0_u32;
    (0..weight * POINTS_PER_WEIGHT).map(move |_| {
        let mut hasher = base.clone();
        hasher.update(&previous.to_le_bytes());
        previous = hasher.finalize();
        previous
    })
}

/// Splits a name as nginx does for this: digits behind the last colon are a port.
fn host_and_port(name: &str) -> (&str, &str) {
    if let Some((scheme, path)) = name.split_at_checked("unix:".len())
        && scheme.eq_ignore_ascii_case("unix:")
    {
        return (path, "");
    }
    match name.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (host, port),
        _ => (name, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_split_as_nginx_splits_them() {
        for (name, wanted) in [
            ("a", ("a", "")),
            ("a:80", ("a", "80")),
            ("a:", ("a", "")),
            ("[::1]:80", ("[::1]", "80")),
            ("[::1]", ("[::1]", "")),
            ("unix:/a:80", ("/a:80", "")),
            ("UNIX:/a", ("/a", "")),
        ] {
            assert_eq!(host_and_port(name), wanted, "{name}");
        }
    }

    #[test]
    fn a_server_that_goes_takes_along_only_its_own_keys() {
        let servers = [(0, "a:1", 1), (1, "b:1", 2), (2, "c:1", 1)];
        let whole = Ring::new(servers.into_iter());
        let without = Ring::new(servers.into_iter().filter(|(server, _, _)| *server != 1));
        let mut counts = [0; 3];
        for number in 0..10_000 {
            let key = format!("/key/{number}");
            let find = |ring: &Ring| ring.server_at(ring.place(key.as_bytes())).expect("the ring has points");
            let server = find(&whole);
            counts[server] += 1;
            assert!(server == 1 || find(&without) == server, "{key}");
        }
        assert!((4000..6000).contains(&counts[1]), "{counts:?}");
        assert_eq!(Ring::default().server_at(5), None);
    }
}
