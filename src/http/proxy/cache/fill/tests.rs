//! Readers of a fill see every byte once, whoever is faster, and never a torn body.

use std::{io::Write, time::Duration};

use cache::Meta;
use http1::ResponseHead;

use super::*;
use crate::http::proxy::cache::zone::{Entry, Place};

fn incomplete() -> Arc<Incomplete> {
    let entry = Arc::new(Entry::arriving(Meta::default(), Arc::new(ResponseHead::new())));
    Arc::new(Incomplete { entry, length: None })
}

fn ticket(table: &Arc<FillTable>, age: Duration) -> Option<Ticket> {
    match table.place(&[7; 16], 0, |fill| fill.is_late(age)) {
        Place::Free(ticket) | Place::Late(ticket) => Some(ticket),
        Place::Taken(_) => None,
    }
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(work)
}

async fn read_all(reader: &mut FillReader) -> Result<Vec<u8>, Fault> {
    let mut all = Vec::new();
    while let Some(piece) = reader.next().await? {
        match piece {
            Piece::Memory(bytes) => all.extend_from_slice(&bytes),
            Piece::File(slice) => {
                let mut part = vec![0; usize::try_from(slice.len).expect("short")];
                std::os::unix::fs::FileExt::read_exact_at(&*slice.file, &mut part, slice.offset)
                    .expect("in the file");
                all.extend_from_slice(&part);
            }
        }
    }
    Ok(all)
}

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn only_one_fills_a_key_until_it_is_dropped() {
    let table = Arc::default();
    let first = ticket(&table, HOUR).expect("nobody else is at it");
    assert!(ticket(&table, HOUR).is_none(), "the first still is");
    drop(first);
    assert!(ticket(&table, HOUR).is_some(), "the key is free again");
}

#[test]
fn a_question_older_than_the_lock_age_is_passed_over() {
    let table = Arc::default();
    let first = ticket(&table, HOUR).expect("nobody else is at it");
    let second = ticket(&table, Duration::ZERO).expect("the first took too long");
    drop(first);
    assert!(ticket(&table, HOUR).is_none(), "dropping the first does not free what the second holds");
    drop(second);
}

#[test]
fn waiters_learn_why_waiting_is_over() {
    run(async {
        let table = Arc::default();
        for (name, release) in [("dropped", None), ("uncacheable", Some(Release::Uncacheable))] {
            let ticket = ticket(&table, HOUR).expect("nobody else is at it");
            let fill = Arc::clone(ticket.fill());
            let wanted = release.unwrap_or(Release::LookAgain);
            match release {
                None => drop(ticket),
                Some(why) => ticket.release(why),
            }
            let Stage::Released(why) = fill.answered().await else { panic!("{name}: still asking") };
            assert_eq!(why, wanted, "{name}");
        }
    });
}

#[test]
fn readers_get_everything_from_memory_and_file() {
    run(async {
        let table = Arc::default();
        let ticket = ticket(&table, HOUR).expect("nobody else is at it");
        let incomplete = incomplete();
        ticket.publish(Arc::clone(&incomplete));
        let mut early =
            FillReader::join(Arc::clone(ticket.fill()), ReadBy::Initiator).expect("it is being stored");
        ticket.append(Bytes::from_static(b"one "));
        ticket.append(Bytes::from_static(b"two "));
        let Ok(Some(Piece::Memory(first))) = early.next().await else { panic!("it is in memory") };
        assert_eq!(first, "one ");

        let mut file = tempfile::tempfile().expect("a temporary file");
        file.write_all(b"HEADone two ").expect("written");
        ticket.fill().file.set((Arc::new(file), 4)).expect("set once");
        ticket.trim(8);
        ticket.append(Bytes::from_static(b"three"));
        ticket.complete(UpstreamFacts::default());

        let mut late =
            FillReader::join(Arc::clone(ticket.fill()), ReadBy::Follower).expect("it is being stored");
        assert_eq!(read_all(&mut early).await.expect("whole"), b"two three");
        assert_eq!(read_all(&mut late).await.expect("whole"), b"one two three");
        drop(ticket);
        assert_eq!(read_all(&mut late).await.expect("still whole"), b"", "an end stays an end");
    });
}

#[test]
fn a_body_that_breaks_is_never_taken_for_whole() {
    run(async {
        let table = Arc::default();
        let ticket = ticket(&table, HOUR).expect("nobody else is at it");
        let incomplete = incomplete();
        ticket.publish(Arc::clone(&incomplete));
        let mut reader =
            FillReader::join(Arc::clone(ticket.fill()), ReadBy::Follower).expect("it is being stored");
        ticket.append(Bytes::from_static(b"half"));
        drop(ticket);
        assert!(read_all(&mut reader).await.is_err());
    });
}

#[test]
fn what_the_slowest_reader_has_not_read_is_kept() {
    run(async {
        let table = Arc::default();
        let ticket = ticket(&table, HOUR).expect("nobody else is at it");
        let incomplete = incomplete();
        ticket.publish(Arc::clone(&incomplete));
        assert_eq!(ticket.unread(), None, "nobody reads");
        let mut fast =
            FillReader::join(Arc::clone(ticket.fill()), ReadBy::Initiator).expect("it is being stored");
        let slow = FillReader::join(Arc::clone(ticket.fill()), ReadBy::Follower).expect("it is being stored");
        ticket.append(Bytes::from_static(b"12345"));
        assert!(fast.next().await.is_ok());
        assert_eq!(ticket.unread(), Some(5));
        drop(slow);
        assert_eq!(ticket.unread(), Some(0));
    });
}
