//! What `$ssl_client_*` variables show of a client's certificate, in the very texts of OpenSSL and nginx.
//!
//! Values are made when they are asked for; most requests ask for none. Whether the certificate is trusted is another question.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::{
    distinguished_name,
    verify::{Frame, seconds},
};

/// A certificate that a peer has shown.
#[derive(Clone, Copy, Debug)]
pub struct PeerCertificate<'a> {
    der: &'a [u8],
    frame: Frame<'a>,
}

impl<'a> PeerCertificate<'a> {
    /// Reads a certificate; `None` if it is none, which a handshake has ruled out.
    pub fn read(der: &'a [u8]) -> Option<Self> {
        Some(Self { der, frame: Frame::read(der)? })
    }

    /// `$ssl_client_raw_cert`: as PEM.
    pub fn raw_cert(&self) -> String {
        const LINE: usize = 64;
        let text = STANDARD.encode(self.der);
        let mut pem = String::with_capacity(text.len() + text.len() / LINE + 60);
        pem.push_str("-----BEGIN CERTIFICATE-----\n");
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let (line, after) = rest.split_at(rest.len().min(LINE));
            pem.push_str(line);
            pem.push('\n');
            rest = after;
        }
        pem.push_str("-----END CERTIFICATE-----\n");
        pem
    }

    /// `$ssl_client_cert`: as PEM, in the form of a folded header field.
    pub fn cert(&self) -> String {
        self.raw_cert().trim_end().replace('\n', "\n\t")
    }

    /// `$ssl_client_escaped_cert`: as PEM, escaped as a part of a URL.
    pub fn escaped_cert(&self) -> String {
        let mut escaped = String::new();
        for byte in self.raw_cert().bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    escaped.push(char::from(byte));
                }
                _ => push_hex(&mut escaped, "%", byte),
            }
        }
        escaped
    }

    /// `$ssl_client_s_dn`: the subject, as RFC 2253 writes it.
    pub fn s_dn(&self) -> String {
        distinguished_name::rfc2253(self.frame.subject)
    }

    /// `$ssl_client_i_dn`: the issuer, as RFC 2253 writes it.
    pub fn i_dn(&self) -> String {
        distinguished_name::rfc2253(self.frame.issuer)
    }

    /// `$ssl_client_s_dn_legacy`: the subject between slashes.
    pub fn s_dn_legacy(&self) -> String {
        distinguished_name::legacy(self.frame.subject)
    }

    /// `$ssl_client_i_dn_legacy`: the issuer between slashes.
    pub fn i_dn_legacy(&self) -> String {
        distinguished_name::legacy(self.frame.issuer)
    }

    /// `$ssl_client_serial`: the number, hexadecimal.
    pub fn serial(&self) -> String {
        let is_negative = self.frame.serial.first().is_some_and(|first| first & 0x80 != 0);
        let mut bytes = self.frame.serial.to_vec();
        let mut text = String::new();
        if is_negative {
            negate(&mut bytes);
            text.push('-');
        }
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        let digits = &bytes[zeros.min(bytes.len().saturating_sub(1))..];
        if digits.is_empty() {
            text.push_str("00");
        }
        for byte in digits {
            push_hex(&mut text, "", *byte);
        }
        text
    }

    /// `$ssl_client_fingerprint`: SHA-1 of the certificate.
    pub fn fingerprint(&self) -> String {
        let mut text = String::new();
        for byte in digest(&SHA1_FOR_LEGACY_USE_ONLY, self.der).as_ref() {
            push_hex(&mut text, "", *byte);
        }
        text.to_ascii_lowercase()
    }

    /// `$ssl_client_v_start`: when it begins to hold. `None` if that is no time.
    pub fn v_start(&self) -> Option<String> {
        seconds(self.frame.not_before).map(date)
    }

    /// `$ssl_client_v_end`: when it ceases to hold. `None` if that is no time.
    pub fn v_end(&self) -> Option<String> {
        seconds(self.frame.not_after).map(date)
    }

    /// `$ssl_client_v_remain`: for how many whole days it still holds.
    pub fn v_remain(&self, now: SystemTime) -> Option<String> {
        const DAY_SECONDS: i64 = 86_400;
        let now =
            now.duration_since(UNIX_EPOCH).ok().and_then(|since| i64::try_from(since.as_secs()).ok())?;
        let days = seconds(self.frame.not_after)?.checked_sub(now)? / DAY_SECONDS;
        Some(days.max(0).to_string())
    }
}

/// Turns a number in two's complement into its opposite.
fn negate(bytes: &mut [u8]) {
    let mut carry = true;
    for byte in bytes.iter_mut().rev() {
        let (opposite, overflows) = (!*byte).overflowing_add(u8::from(carry));
        *byte = opposite;
        carry = overflows;
    }
}

/// Writes a byte as two digits.
pub(crate) fn push_hex(text: &mut String, before: &str, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    text.push_str(before);
    for digit in [byte >> 4, byte & 0x0f] {
        text.push(char::from(DIGITS[usize::from(digit)]));
    }
}

/// A time as OpenSSL prints it: `Nov 21 18:00:00 2026 GMT`.
fn date(seconds: i64) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    const DAY_SECONDS: i64 = 86_400;
    let (days, second) = (seconds.div_euclid(DAY_SECONDS), seconds.rem_euclid(DAY_SECONDS));
    let (year, month, day) = civil(days);
    let name = MONTHS.get(usize::try_from(month - 1).unwrap_or_default()).copied().unwrap_or_default();
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{name} {day:2} {hour:02}:{minute:02}:{second:02} {year} GMT")
}

/// Year, month and day of a day since 1970, after the proleptic Gregorian calendar.
fn civil(days: i64) -> (i64, i64, i64) {
    /// From the first of March of year 0, after which leap days come last in a year.
    const DAYS_TO_1970: i64 = 719_468;
    const DAYS_OF_400_YEARS: i64 = 146_097;
    let days = days + DAYS_TO_1970;
    let (era, day_of_era) = (days.div_euclid(DAYS_OF_400_YEARS), days.rem_euclid(DAYS_OF_400_YEARS));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests;
