//! Sitemaps: the pages that a site names, and the further sitemaps that an index of them names.

use std::io::Read;

use flate2::read::MultiGzDecoder;
use quick_xml::{Reader, events::Event};

/// What a sitemap names.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Sitemap {
    /// Pages.
    pub pages: Vec<String>,
    /// Further sitemaps.
    pub sitemaps: Vec<String>,
}

/// First bytes of what is compressed with gzip.
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// Most that a compressed sitemap may become: as much as sitemaps may have.
const BYTES_MOST: u64 = 50 << 20;

/// Reads a sitemap, which may be compressed.
///
/// # Errors
/// What is wrong with it, for people.
pub fn read(bytes: &[u8]) -> Result<Sitemap, String> {
    if !bytes.starts_with(&GZIP) {
        return parse(bytes);
    }
    let mut plain = Vec::new();
    let decoded = MultiGzDecoder::new(bytes).take(BYTES_MOST).read_to_end(&mut plain);
    decoded.map_err(|error| format!("it cannot be decompressed ({error})"))?;
    parse(&plain)
}

fn parse(bytes: &[u8]) -> Result<Sitemap, String> {
    let broken = |error: &dyn std::fmt::Display| format!("it is no sitemap ({error})");
    let mut reader = Reader::from_reader(bytes);
    let mut found = Sitemap::default();
    let (mut path, mut text) = (Vec::new(), String::new());
    let mut any = false;
    loop {
        match reader.read_event().map_err(|error| broken(&error))? {
            Event::Start(start) => {
                any = true;
                path.push(start.local_name().as_ref().to_vec());
                text.clear();
            }
            Event::Text(piece) => text += &piece.decode().map_err(|error| broken(&error))?,
            Event::CData(piece) => text += &piece.decode().map_err(|error| broken(&error))?,
            Event::GeneralRef(name) => {
                let name = name.decode().map_err(|error| broken(&error))?;
                text += &resolve(&name).ok_or_else(|| broken(&format_args!("unknown entity {name}")))?;
            }
            Event::End(_) => {
                let names: Vec<&[u8]> = path.iter().map(Vec::as_slice).collect();
                let list = match names[..] {
                    [.., b"url", b"loc"] => Some(&mut found.pages),
                    [.., b"sitemap", b"loc"] => Some(&mut found.sitemaps),
                    _ => None,
                };
                if let Some(list) = list {
                    list.push(text.trim().to_owned());
                }
                path.pop();
            }
            Event::Eof if any && path.is_empty() => return Ok(found),
            Event::Eof => return Err(broken(&"it ends too early")),
            _ => {}
        }
    }
}

fn resolve(name: &str) -> Option<String> {
    let plain = match name {
        "amp" => "&",
        "lt" => "<",
        "gt" => ">",
        "quot" => "\"",
        "apos" => "'",
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix('x') {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            return char::from_u32(code).map(String::from);
        }
    };
    Some(plain.to_owned())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    const PAGES: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
        <urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"><!-- two -->
        <url><loc> http://h/a?x=1&amp;y=&#50; </loc><lastmod>2026-01-01</lastmod></url>
        <url><image><loc>http://h/no.png</loc></image><loc><![CDATA[http://h/b]]></loc></url></urlset>"#;

    #[test]
    fn pages_and_sitemaps_are_found() {
        let pages = vec!["http://h/a?x=1&y=2".to_owned(), "http://h/b".to_owned()];
        assert_eq!(read(PAGES.as_bytes()), Ok(Sitemap { pages, sitemaps: vec![] }));
        let index = "<sitemapindex><sitemap><loc>http://h/1.xml</loc></sitemap></sitemapindex>";
        let wanted = Sitemap { pages: vec![], sitemaps: vec!["http://h/1.xml".to_owned()] };
        assert_eq!(read(index.as_bytes()), Ok(wanted));
    }

    #[test]
    fn compressed_ones_are_read_too() {
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(PAGES.as_bytes()).unwrap();
        assert_eq!(read(&packed.finish().unwrap()).unwrap().pages.len(), 2);
    }

    #[test]
    fn what_is_none_is_refused() {
        for text in ["", "hello", "<urlset><url>", "<a></b>", "<urlset><url><loc>&nope;</loc></url></urlset>"]
        {
            assert!(read(text.as_bytes()).is_err(), "{text}");
        }
    }
}
