//! What a misspelt word may have meant.

/// Finds the known word closest to a wrong one, if one is close enough to be worth telling.
pub fn closest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (wrong.len() / 4).clamp(1, 3);
    let lower = wrong.to_ascii_lowercase();
    let letters = letters_of(lower.as_bytes());
    known
        .into_iter()
        // Words whose lengths differ by more are never close: this is what keeps long garbage quick.
        .filter(|word| *word != wrong && word.len().abs_diff(wrong.len()) <= limit)
        // One change adds one letter and removes one at most.
        .filter(|word| (letters_of(word.as_bytes()) ^ letters).count_ones() as usize <= 2 * limit)
        .map(|word| (distance(lower.as_bytes(), word.as_bytes()), word))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// Words it as a question.
pub fn did_you_mean<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    closest(wrong, known).map(|word| format!("did you mean \"{word}\"?"))
}

/// Makes the set of bytes in a word, a bit each (some share one).
fn letters_of(word: &[u8]) -> u64 {
    word.iter().fold(0, |set, byte| set | 1 << (byte & 63))
}

/// Counts the letters to insert, drop, replace or swap with a neighbour to get from one word to the other.
fn distance(from: &[u8], to: &[u8]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for (i, &letter) in from.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, &wanted) in to.iter().enumerate() {
            let replaced = last[j] + usize::from(letter != wanted);
            let mut best = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && letter == to[j - 1] && from[i - 1] == wanted {
                best = best.min(before_last[j - 1] + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_words_are_found_and_far_ones_are_not() {
        let known = ["proxy_cache_valid", "proxy_cache", "root", "listen"];
        let cases = [
            ("proxy_cache_vaild", Some("proxy_cache_valid")),
            ("proxy_cach", Some("proxy_cache")),
            ("lisen", Some("listen")),
            ("Root", Some("root")),
            ("rot", Some("root")),
            ("upstream", None),
            ("x", None),
        ];
        for (wrong, wanted) in cases {
            assert_eq!(closest(wrong, known), wanted, "{wrong}");
        }
    }

    #[test]
    fn a_swap_counts_once() {
        assert_eq!(distance(b"ab", b"ba"), 1);
        assert_eq!(distance(b"", b"abc"), 3);
        assert_eq!(distance(b"kitten", b"sitting"), 3);
    }
}
