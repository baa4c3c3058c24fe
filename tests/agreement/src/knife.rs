//! What every kind of damage takes in hand: the log, a segment of it, and logs of other stores. Pure.

use crate::log_image::LogImage;
use crate::recording::Recording;
use crate::segment_image::SegmentImage;
use fastrand::Rng;
use std::sync::Arc;

/// Hurts a log; tells where, or `None` if there is nothing to hurt in that way.
pub type Hurt = fn(&mut LogImage, &mut Rng, &Foreign) -> Option<String>;

/// Logs of other stores, from which segments stray.
#[derive(Clone, Debug)]
pub struct Foreign(pub Vec<Arc<Recording>>);

/// A segment's file under the knife.
pub(crate) struct Patient<'a> {
    pub(crate) name: String,
    pub(crate) bytes: &'a mut Vec<u8>,
    pub(crate) segment: &'a mut SegmentImage,
}

/// Any segment of the log.
pub(crate) fn any<'a>(log: &'a mut LogImage, rng: &mut Rng) -> Option<Patient<'a>> {
    any_that(log, rng, |_| true)
}

/// Any segment of which something is so.
pub(crate) fn any_that<'a>(
    log: &'a mut LogImage,
    rng: &mut Rng,
    is_so: impl Fn(&SegmentImage) -> bool,
) -> Option<Patient<'a>> {
    let mut names = log.segment_names();
    names.retain(|name| log.files[name].segment.as_ref().is_some_and(&is_so));
    let name = rng.choice(names)?;
    let file = log.files.get_mut(&name)?;
    let segment = file.segment.as_mut()?;
    Some(Patient { name, bytes: &mut file.bytes, segment })
}
