//! What tests have ordered, and its delivery. Test code only.

use super::{Fault, Spot};
use parking_lot::Mutex;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What happens at a spot. It may panic, fail, or take as long as it likes.
type Effect = Arc<dyn Fn() -> Result<(), Fault> + Send + Sync>;

struct Order {
    /// The store's directory, or one file in it.
    place: PathBuf,
    spot: Spot,
    /// How often the spot is passed before the fault strikes.
    passes: u32,
    /// How often it is yet to strike.
    times: u32,
    effect: Effect,
}

static ORDERS: Mutex<Vec<Order>> = Mutex::new(Vec::new());

/// In the store at `place`, `effect` happens at the spot so many times, once the spot was passed unharmed so often. It
/// takes the place of what was ordered there before.
pub(crate) fn order(
    place: &Path,
    spot: Spot,
    passes: u32,
    times: u32,
    effect: impl Fn() -> Result<(), Fault> + Send + Sync + 'static,
) {
    cancel(place, spot);
    ORDERS.lock().push(Order { place: place.to_owned(), spot, passes, times, effect: Arc::new(effect) });
}

/// Nothing happens at the spot any more.
pub(crate) fn cancel(place: &Path, spot: Spot) {
    ORDERS.lock().retain(|order| order.place != place || order.spot != spot);
}

/// From now on these bytes of the file can't be read.
pub(crate) fn spoil(path: &Path, bytes: std::ops::Range<u64>) {
    order(path, Spot::Read { from: bytes.start, to: bytes.end }, 0, u32::MAX, fail);
}

/// An effect: the disk fails.
pub(crate) fn fail() -> Result<(), Fault> {
    Err(Fault::Disk)
}

/// An effect: the thread panics.
pub(crate) fn panic() -> Result<(), Fault> {
    panic!("a panic on order")
}

/// What was ordered for the spot happens now, in the store that `path` lies in.
pub(crate) fn at(spot: Spot, path: &Path) -> Result<(), Fault> {
    // Not under the lock: an effect may take its time.
    let due = take_due(spot, path);
    due.map_or(Ok(()), |effect| effect())
}

fn take_due(spot: Spot, path: &Path) -> Option<Effect> {
    let mut orders = ORDERS.lock();
    let order = orders.iter_mut().find(|order| meets(order.spot, spot) && path.starts_with(&order.place))?;
    let is_due = order.passes == 0 && order.times > 0;
    let left = if order.passes > 0 { &mut order.passes } else { &mut order.times };
    *left = left.saturating_sub(1);
    is_due.then(|| Arc::clone(&order.effect))
}

fn meets(ordered: Spot, spot: Spot) -> bool {
    match (ordered, spot) {
        (Spot::Read { from, to }, Spot::Read { from: first, to: end }) => from < end && first < to,
        _ => ordered == spot,
    }
}

#[test]
fn an_order_strikes_in_its_store_only_and_as_often_as_it_says() {
    let (here, there) = (Path::new("/sabotage/here"), Path::new("/sabotage/there"));
    order(here, Spot::Sync, 2, 3, fail);
    let strikes = |path: &Path, spot| at(spot, &path.join("wal/1.seg")).is_err();
    assert!(!strikes(there, Spot::Sync) && !strikes(here, Spot::Fold));
    assert_eq!([0; 6].map(|_| strikes(here, Spot::Sync)), [false, false, true, true, true, false]);
    order(here, Spot::Sync, 0, u32::MAX, fail);
    assert!(strikes(here, Spot::Sync));
    cancel(here, Spot::Sync);
    assert!(!strikes(here, Spot::Sync));
}

#[test]
fn a_spoilt_place_fails_every_read_that_meets_it_and_no_other() {
    let file = Path::new("/sabotage/spoilt/1.seg");
    spoil(file, 10..20);
    let reads = [(0, 10, true), (9, 11, false), (19, 20, false), (20, 30, true), (0, 100, false)];
    for (from, to, works) in reads {
        assert_eq!(at(Spot::Read { from, to }, file).is_ok(), works, "{from}..{to}");
    }
}
