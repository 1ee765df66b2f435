//! Sending a body: its pieces in order, at the rate that is allowed, whoever writes them.

use std::{io, ops::Range, rc::Rc, time::Duration};

use config::FillAbandoned;
use tokio::time::sleep;

use super::{
    Body, Exchange, Fault,
    proxy::cache::storing,
    rate::{self, Rate, Turn},
    response::{Piece, Source},
};

/// How a front writes to its client.
pub(super) trait Wire {
    /// Sends a piece, or gathers it with what is to be sent.
    async fn send(&mut self, exchange: &Exchange, piece: Piece) -> io::Result<()>;

    /// Sends what has been gathered.
    async fn flush(&mut self) -> io::Result<()>;

    /// Returns the bytes sent so far for the answer at hand.
    fn sent_bytes(&self) -> u64;
}

/// Why sending stopped early.
pub(super) enum Broken {
    /// The client is gone or too slow.
    Client(io::Error),
    /// The body cannot be completed.
    Source(Fault),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Client(error)
    }
}

/// Sends a body up to its end, which may still have to be flushed.
pub(super) async fn send_body(
    wire: &mut impl Wire,
    exchange: &mut Exchange,
    body: Body,
    mut pace: Option<Pace>,
) -> Result<(), Broken> {
    match body {
        Body::Empty | Body::Tunnel(_) => {}
        Body::Memory(bytes) => send_piece(wire, exchange, Piece::Memory(bytes), &mut pace).await?,
        Body::File(slice) => send_piece(wire, exchange, Piece::File(slice), &mut pace).await?,
        Body::Pieces(pieces) => {
            for piece in pieces {
                send_piece(wire, exchange, piece, &mut pace).await?;
            }
        }
        Body::Stream { source, window } => send_stream(wire, exchange, source, window, &mut pace).await?,
    }
    Ok(())
}

/// How fast an answer is sent, where that is limited.
#[derive(Clone, Copy)]
pub(super) struct Pace {
    rate: Rate,
    /// What belongs behind what was sent last.
    pause: Duration,
}

impl Pace {
    /// Finds how fast the answer to a request may be sent, and notes it.
    pub(super) fn of(exchange: &mut Exchange) -> Option<Self> {
        rate::to_client(exchange).map(|rate| Self { rate, pause: Duration::ZERO })
    }
}

/// Sends what comes until it ends. A source that breaks breaks the answer, so that nobody takes a torn body for whole.
async fn send_stream(
    wire: &mut impl Wire,
    exchange: &mut Exchange,
    mut source: Source,
    window: Option<Range<u64>>,
    pace: &mut Option<Pace>,
) -> Result<(), Broken> {
    // As nginx: a fill of the cache goes on without its client (unless it is told not to), and a client that
    // has only closed its sending side gets the answer.
    let goes_on =
        source.outlives_client() && storing::fill_abandoned(&exchange.location) == FillAbandoned::Goes;
    let watches = !goes_on && !*exchange.location.proxy.ignore_client_abort;
    let client = Rc::clone(&exchange.client);
    let mut position = 0;
    loop {
        if !source.is_ready() {
            source.introduce(exchange);
            source.meanwhile(wire.flush()).await?;
        }
        let next = tokio::select! {
            biased;
            piece = source.next(exchange) => piece,
            () = client.closed(), if watches => {
                return Err(Broken::Client(io::ErrorKind::ConnectionAborted.into()));
            }
        };
        let piece = match next {
            Ok(Some(piece)) => piece,
            Ok(None) => break,
            Err(fault) => {
                source.finish(exchange);
                // As nginx: what came before is the client's, and the missing end tells the rest.
                wire.flush().await?;
                return Err(Broken::Source(fault));
            }
        };
        let start = position;
        position += piece.len();
        let Some(piece) = piece.cut(start, window.as_ref()) else { continue };
        source.introduce(exchange);
        source.meanwhile(send_piece(wire, exchange, piece, pace)).await?;
    }
    source.finish(exchange);
    Ok(())
}

/// Sends a piece, in parts where the rate is limited.
async fn send_piece(
    wire: &mut impl Wire,
    exchange: &Exchange,
    piece: Piece,
    pace: &mut Option<Pace>,
) -> Result<(), Broken> {
    let Some(limited) = pace else { return Ok(wire.send(exchange, piece).await?) };
    let mut rest = Some(piece);
    let mut pause = limited.pause;
    while let Some(piece) = rest.take() {
        // What has been gathered counts.
        wire.flush().await?;
        // As nginx: who only closed the sending side gets all; who is gone is noticed by the next write.
        sleep(pause).await;
        let before = wire.sent_bytes();
        let part = match limited.rate.turn(exchange.started.elapsed(), before) {
            Turn::Wait(time) => {
                (pause, rest) = (time, Some(piece));
                continue;
            }
            Turn::Go(most) => piece.split(most),
        };
        rest = part.1;
        wire.send(exchange, part.0).await?;
        wire.flush().await?;
        pause = limited.rate.pause(before, wire.sent_bytes());
    }
    limited.pause = pause;
    Ok(())
}
