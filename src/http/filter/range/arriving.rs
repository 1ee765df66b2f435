//! Several parts of a body that is still arriving: each goes out as soon as it is there.

use std::{collections::VecDeque, ops::Range};

use bytes::Bytes;

use crate::http::{Exchange, Fault, proxy::cache::fill::FillReader, response::Piece};

/// What is left of a multipart body.
pub struct ArrivingParts {
    reader: FillReader,
    items: VecDeque<Item>,
}

/// A piece of a multipart body.
pub(super) enum Item {
    /// What stands before a part, or behind the last.
    Text(Bytes),
    /// A part of the body that arrives.
    Part(Range<u64>),
}

impl ArrivingParts {
    /// Takes what is to be sent, the parts in the order of their places, each behind a text.
    pub(super) fn new(reader: FillReader, items: impl IntoIterator<Item = Item>) -> Self {
        Self { reader, items: items.into_iter().collect() }
    }

    /// Whether a piece or the end can be had without waiting.
    pub fn is_ready(&self) -> bool {
        !matches!(self.items.front(), Some(Item::Part(_))) || self.reader.is_ready()
    }

    /// Returns the next piece; none at the end. Cancel safe.
    ///
    /// # Errors
    /// The upstream's fault where the body cannot be completed.
    pub async fn next(&mut self) -> Result<Option<Piece>, Fault> {
        if let Some(Item::Part(_)) = self.items.front() {
            if let Some(piece) = self.reader.next().await? {
                return Ok(Some(piece));
            }
            self.items.pop_front();
        }
        let Some(Item::Text(text)) = self.items.pop_front() else { return Ok(None) };
        if let Some(Item::Part(part)) = self.items.front() {
            self.reader.narrow(part);
        }
        Ok(Some(Piece::Memory(text)))
    }

    /// Notes what the whole answer took.
    pub fn finish(&self, exchange: &mut Exchange) {
        self.reader.finish(&mut exchange.upstream);
    }
}
