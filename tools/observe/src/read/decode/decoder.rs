//! Undoes all codings of one body, one after the other.
//!
//! Pure. What it holds is taken from the budget, and given back as soon as the body turns out to be unreadable.

use super::coding::Codings;
use super::layer::Layer;
use super::step::Unreadable;
use crate::budget::Budget;

/// Unpacks one body.
pub struct Decoder {
    /// The outermost coding first. `None` if the body cannot be read.
    layers: Option<Vec<Layer>>,
}

impl Decoder {
    /// The decoder for a body that is packed in that way. Of each coding at most `work_bytes_max` are unpacked, beside what any
    /// text would become.
    pub fn new(codings: Codings, budget: &Budget, work_bytes_max: u64) -> Self {
        let layer = |coding| Layer::new(coding, budget, work_bytes_max);
        Self { layers: codings.outermost_first().map(|codings| codings.map(layer).collect()) }
    }

    /// Unpacks the next bytes; `on_bytes` gets all of the content that they complete, so that an event at the end of
    /// a flushed chunk is seen when it comes and not with the next one.
    ///
    /// # Errors
    ///
    /// [`Unreadable`] if the bytes are not of that coding, unpack to too much, or need memory that the budget does not have;
    /// from then on always.
    pub fn push(&mut self, bytes: &[u8], mut on_bytes: impl FnMut(&[u8])) -> Result<(), Unreadable> {
        let result = match &mut self.layers {
            Some(layers) => push_through(layers, bytes, &mut on_bytes),
            None => Err(Unreadable),
        };
        if result.is_err() {
            self.give_up();
        }
        result
    }

    /// Lets go of everything: nothing is read from now on.
    pub fn give_up(&mut self) {
        self.layers = None;
    }

    /// Whether the body may end here: no coding is in the middle of something. Never, of one that cannot be read.
    pub fn is_whole(&self) -> bool {
        self.layers.as_ref().is_some_and(|layers| layers.iter().all(Layer::is_whole))
    }
}

fn push_through(layers: &mut [Layer], bytes: &[u8], on_bytes: &mut dyn FnMut(&[u8])) -> Result<(), Unreadable> {
    match layers.split_first_mut() {
        Some((outermost, inner)) => outermost.push(bytes, |piece| push_through(inner, piece, on_bytes)),
        None => {
            on_bytes(bytes);
            Ok(())
        }
    }
}
