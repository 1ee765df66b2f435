//! The rules of RFC 9111 and its companions, item by item.

mod status_field;
mod vary;
