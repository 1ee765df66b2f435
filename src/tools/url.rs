//! URLs as people write them: whole ones, or paths on a host that is known otherwise.

use super::report::shown;

/// What is asked for, and of whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// Host, with its port where one is written.
    pub host: String,
    /// Path and arguments.
    pub target: String,
}

impl Url {
    /// Reads a URL, or a path on that host. What follows a `#` is the browser's business.
    ///
    /// # Errors
    /// A complaint for the terminal.
    pub fn parse(text: &str, host: Option<&str>) -> Result<Self, String> {
        let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
        let (host, target) = match (rest, host) {
            (Some(rest), _) => match rest.find(['/', '?', '#']) {
                Some(at) => rest.split_at(at),
                None => (rest, "/"),
            },
            (None, Some(host)) => (host, text),
            (None, None) => ("", text),
        };
        let target = target.split('#').next().unwrap_or_default();
        let target = match target.as_bytes().first() {
            Some(b'?') => format!("/{target}"),
            None if rest.is_some() => "/".to_owned(),
            _ => target.to_owned(),
        };
        let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        if !target.starts_with('/') || host.is_empty() || !is_plain(&target) || !is_plain(host) {
            return Err(format!("\"{}\" is no URL like http://www.example.com/page", shown(text.as_bytes())));
        }
        Ok(Self { host: host.to_owned(), target })
    }

    /// The host without a port.
    pub fn name(&self) -> &str {
        self.split().0
    }

    /// The port, where one is written.
    pub fn port(&self) -> Option<u16> {
        self.split().1
    }

    fn split(&self) -> (&str, Option<u16>) {
        let after_address = self.host.rfind(']').unwrap_or(0);
        match self.host[after_address..].rfind(':').map(|at| self.host.split_at(after_address + at)) {
            Some((name, port)) => (name, port[1..].parse().ok()),
            None => (&self.host, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_and_paths_are_read() {
        for (text, host, target) in [
            ("/a?b", "default", "/a?b"),
            ("http://h/a#b", "h", "/a"),
            ("https://h:8443", "h:8443", "/"),
            ("http://h?x", "h", "/?x"),
            ("http://h#x", "h", "/"),
        ] {
            let wanted = Url { host: host.to_owned(), target: target.to_owned() };
            assert_eq!(Url::parse(text, Some("default")), Ok(wanted), "{text}");
        }
        for text in ["a", "ftp://h/a", "/a b", "http:///a", "/\u{fc}"] {
            assert!(Url::parse(text, Some("default")).is_err(), "{text}");
        }
        assert!(Url::parse("/a", None).is_err());
    }

    #[test]
    fn ports_are_apart_from_names() {
        for (host, name, port) in [
            ("h", "h", None),
            ("h:80", "h", Some(80)),
            ("[::1]", "[::1]", None),
            ("[::1]:80", "[::1]", Some(80)),
        ] {
            let url = Url { host: host.to_owned(), target: "/".to_owned() };
            assert_eq!((url.name(), url.port()), (name, port));
        }
    }
}
