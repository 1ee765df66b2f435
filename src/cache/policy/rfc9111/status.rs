//! What a status means to a cache.

/// Whether an answer with that status may be given a lifetime that it does not state (RFC 9110, 15.1).
///
/// 206 is not among them here: parts of an answer are kept by the lifetime of the whole.
pub(super) fn is_heuristically_cacheable(status: u16) -> bool {
    matches!(status, 200 | 203 | 204 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501)
}

/// Whether the requirements for caching that come with the status are kept (RFC 9111, 5.2.2.3).
pub(super) fn is_understood(status: u16) -> bool {
    // All final statuses of RFC 9110 whose answers are whole; none of them asks anything of a cache besides.
    matches!(status, 200..=205 | 300..=303 | 305 | 307..=308 | 400..=417 | 421..=422 | 426 | 500..=505)
}

/// Whether `stale-if-error` is about the status (RFC 5861, 4).
pub fn is_error(status: u16) -> bool {
    matches!(status, 500 | 502..=504)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses() {
        let heuristic: Vec<u16> = (100..1000).filter(|status| is_heuristically_cacheable(*status)).collect();
        assert_eq!(heuristic, [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501]);
        for status in [200, 204, 301, 302, 307, 404, 410, 503] {
            assert!(is_understood(status), "{status}");
        }
        for status in [100, 206, 299, 304, 306, 399, 418, 499, 520, 599, 600, 999] {
            assert!(!is_understood(status), "{status}");
        }
        let errors: Vec<u16> = (100..1000).filter(|status| is_error(*status)).collect();
        assert_eq!(errors, [500, 502, 503, 504]);
    }
}
