//! What a worker does beside serving: it keeps groups what their names say, checks peers, and lets go of cached files that are
//! gone. One thread for all event loops, and none
//! where there is nothing to do.

use std::{
    io,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use tokio::{
    runtime::{Builder, LocalOptions},
    sync::watch,
    task::{JoinSet, spawn_local},
    time::timeout,
};

use super::accept::Order;
use crate::{
    http::{health, site::Site},
    upstream::Again,
};

/// How long event loops wait for the first answers of name servers before they accept without them.
const FIRST_ANSWERS: Duration = Duration::from_secs(3);

/// Starts the thread, and returns once names have their first addresses, and peers the first check that they need, or it
/// is no use to wait for them. It ends with the first order to the event loops.
///
/// # Errors
/// The system's.
pub fn start(
    site: &Arc<Site>,
    mut orders: watch::Receiver<Order>,
) -> io::Result<Option<thread::JoinHandle<io::Result<()>>>> {
    if !site.needs_upkeep() {
        return Ok(None);
    }
    let site = Arc::clone(site);
    let (ready, is_ready) = mpsc::channel();
    let run = move || {
        let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
        runtime.block_on(async {
            begin_renewals(&site).await;
            health::begin(&site, FIRST_ANSWERS).await;
            site.zones().for_each(|zone| drop(spawn_local(Arc::clone(zone).look_after())));
            // Nobody waits any more where the worker could not start.
            let _ = ready.send(());
            // The sender lives as long as the worker; without it there is nothing to do.
            let _ = orders.wait_for(|order| *order != Order::Serve).await;
        });
        // The system may take its time to find a host; nobody waits for it.
        runtime.shutdown_background();
        Ok(())
    };
    let thread = thread::Builder::new().name("upkeep".to_owned()).spawn(run)?;
    // An error is the end of the thread, which its result tells.
    let _ = is_ready.recv();
    Ok(Some(thread))
}

/// Asks for all names, and has them asked for again as tasks of their own.
async fn begin_renewals(site: &Site) {
    let mut first = JoinSet::new();
    for mut renewal in site.renewals() {
        first.spawn_local(async move {
            let again = timeout(FIRST_ANSWERS, renewal.renew()).await.unwrap_or(Again::In(Duration::ZERO));
            spawn_local(renewal.keep_up(again));
        });
    }
    // A panic ends one of them alone; the hook of the process has written it to the log.
    while first.join_next().await.is_some() {}
}
