//! How values are written into a line, so that no client can break it: `escape=default` and `escape=json`.

use std::io::Write;

/// Escapes what stands in a line from `start` on: `\xXX` for quotes, backslashes and all that is not printable.
pub(super) fn default(line: &mut Vec<u8>, start: usize) {
    let is_plain = |byte: u8| (0x20..0x7f).contains(&byte) && byte != b'"' && byte != b'\\';
    rewrite(line, start, is_plain, |line, byte| write!(line, "\\x{byte:02X}"));
}

/// Escapes what stands in a line from `start` on as the inside of a JSON string.
pub(super) fn json(line: &mut Vec<u8>, start: usize) {
    let is_plain = |byte: u8| byte >= 0x20 && byte != b'"' && byte != b'\\';
    rewrite(line, start, is_plain, |line, byte| match byte {
        b'"' => write!(line, "\\\""),
        b'\\' => write!(line, "\\\\"),
        b'\n' => write!(line, "\\n"),
        b'\r' => write!(line, "\\r"),
        b'\t' => write!(line, "\\t"),
        0x08 => write!(line, "\\b"),
        0x0c => write!(line, "\\f"),
        _ => write!(line, "\\u{byte:04X}"),
    });
}

/// Rewrites the end of a line; most values are plain and stay as they are.
fn rewrite(
    line: &mut Vec<u8>,
    start: usize,
    is_plain: impl Fn(u8) -> bool,
    escape: impl Fn(&mut Vec<u8>, u8) -> std::io::Result<()>,
) {
    let Some(first) = line[start..].iter().position(|&byte| !is_plain(byte)) else { return };
    let rest = line.split_off(start + first);
    for byte in rest {
        if is_plain(byte) {
            line.push(byte);
        } else {
            escape(line, byte).expect("memory takes all that is written");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_follows_is_escaped() {
        for (value, as_default, as_json) in [
            (&b"plain"[..], "plain", "plain"),
            (b"a\"b\\c", "a\\x22b\\x5Cc", "a\\\"b\\\\c"),
            (b"\r\n\t\x08\x0c\x01", "\\x0D\\x0A\\x09\\x08\\x0C\\x01", "\\r\\n\\t\\b\\f\\u0001"),
            (b"\x7f", "\\x7F", "\u{7f}"),
            ("\u{e9}".as_bytes(), "\\xC3\\xA9", "\u{e9}"),
            (b"", "", ""),
        ] {
            for (escape, wanted) in [(default as fn(&mut Vec<u8>, usize), as_default), (json, as_json)] {
                let mut line = [b"\"\x01", value].concat();
                escape(&mut line, 2);
                assert_eq!(String::from_utf8(line).unwrap(), format!("\"\u{1}{wanted}"), "{value:?}");
            }
        }
    }
}
