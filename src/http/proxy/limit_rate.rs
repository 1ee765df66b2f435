//! X-Accel-Limit-Rate: an upstream says how fast its answer may be sent on.

use http1::ResponseHead;

use crate::http::Exchange;

/// Obeys the field of an upstream's head, where it is there and to be listened to. As nginx: what is no number does
/// nothing, and it holds for whoever answers in the end.
pub(super) fn obey(exchange: &mut Exchange, head: &ResponseHead) {
    if exchange.location.proxy.ignore_headers.x_accel_limit_rate {
        return;
    }
    let number = |value: &[u8]| str::from_utf8(value).ok()?.parse::<u64>().ok();
    if let Some(rate) = head.fields.get("X-Accel-Limit-Rate").and_then(number) {
        exchange.limit_rate = Some(rate);
    }
}
