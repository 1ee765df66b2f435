//! Whether a connection is kept after an answer, where the client would keep it.
//!
//! The rules and their order are nginx's; browsers are told by User-Agent only as far as `keepalive_disable` asks.

use config::KeepaliveDisable;
use http1::Method;

use crate::http::{
    Exchange,
    user_agent::{is_msie6, is_safari},
};

/// Lets the location in force end a connection that the client would keep.
pub(super) fn decide(exchange: &mut Exchange) {
    if !exchange.keepalive {
        return;
    }
    if exchange.body.discard_arrived(&exchange.client).is_err() {
        exchange.keepalive = false;
        return;
    }
    let core = &exchange.location.core;
    let client = &exchange.client;
    let agent = exchange.head.fields.get("User-Agent").unwrap_or_default();
    exchange.keepalive = !core.keepalive_timeout.idle.is_zero()
        && client.requests.get() < *core.keepalive_requests
        && client.opened.elapsed() <= *core.keepalive_time
        && !exchange.event_loop.drain.is_draining()
        && !is_disabled_for(*core.keepalive_disable, exchange.method, agent);
}

/// Whether a browser cannot be trusted with a kept connection. As nginx: old Internet Explorer only after a POST.
fn is_disabled_for(disabled: KeepaliveDisable, method: Method, agent: &[u8]) -> bool {
    (disabled.msie6 && method == Method::Post && is_msie6(agent)) || (disabled.safari && is_safari(agent))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MSIE_6: &str = "Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1)";
    const MSIE_6_SV1: &str = "Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1; SV1)";
    const MSIE_7: &str = "Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 6.0)";
    const OPERA: &str = "Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1; en) Opera 8.50";
    const SAFARI: &str = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 Safari/605.1.15";
    const CHROME: &str = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Safari/537.36";

    #[test]
    fn browsers_are_told_as_nginx_tells_them() {
        let none = KeepaliveDisable::default();
        let msie6 = KeepaliveDisable { msie6: true, ..none };
        let safari = KeepaliveDisable { safari: true, ..none };
        for (disabled, method, agent, wanted) in [
            (msie6, Method::Post, MSIE_6, true),
            (msie6, Method::Post, "MSIE 5.5", true),
            (msie6, Method::Get, MSIE_6, false),
            (none, Method::Post, MSIE_6, false),
            (safari, Method::Post, MSIE_6, false),
            (msie6, Method::Post, MSIE_6_SV1, false),
            (msie6, Method::Post, MSIE_7, false),
            (msie6, Method::Post, OPERA, false),
            (msie6, Method::Post, "MSIE 6", false),
            (msie6, Method::Post, "", false),
            (safari, Method::Get, SAFARI, true),
            (safari, Method::Get, CHROME, false),
            (msie6, Method::Get, SAFARI, false),
        ] {
            assert_eq!(is_disabled_for(disabled, method, agent.as_bytes()), wanted, "{disabled:?} {agent}");
        }
    }
}
