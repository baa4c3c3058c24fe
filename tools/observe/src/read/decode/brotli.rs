//! Brotli, undone by brotli-decompressor.
//!
//! Pure. Whatever the decoder allocates is taken from the budget first: its window, which grows with what the stream says, and
//! its tables. An allocation that is refused ends the reading.

use super::limits::WINDOW_BYTES_MAX;
use super::step::{Stand, Step};
use crate::budget::{Budget, Share};
use brotli_decompressor::{
    Allocator, BrotliDecompressStream, BrotliResult, BrotliState, SliceWrapper, SliceWrapperMut,
};

type State = BrotliState<Metered, Metered, Metered>;

/// The most that is allocated at once, in bytes: a window, and what the decoder puts behind it.
const CELL_BYTES_MAX: usize = WINDOW_BYTES_MAX + 4096;

/// Undoes Brotli.
pub(super) struct Brotli {
    /// `None` before the first byte.
    state: Option<Box<State>>,
    is_over: bool,
    budget: Budget,
    /// For the state itself.
    share: Share,
}

impl Brotli {
    pub(super) fn new(budget: &Budget) -> Self {
        Self { state: None, is_over: false, budget: budget.clone(), share: budget.share(0) }
    }

    pub(super) fn step(&mut self, input: &[u8], output: &mut [u8]) -> Step {
        if self.is_over {
            return Step { taken: 0, given: 0, stand: Stand::Over };
        }
        if self.state.is_none() && input.is_empty() {
            return Step { taken: 0, given: 0, stand: Stand::Whole };
        }
        if self.state.is_none() && !self.share.resize(size_of::<State>()) {
            return Step::DAMAGED;
        }
        let state = self.state.get_or_insert_with(|| {
            let metered = || Metered { budget: self.budget.clone() };
            // Strict: windows beyond those of RFC 7932 are none of HTTP's.
            Box::new(State::new_strict(metered(), metered(), metered()))
        });
        let (mut taken, mut given) = (0, 0);
        let (mut input_left, mut output_left) = (input.len(), output.len());
        let result = BrotliDecompressStream(
            &mut input_left,
            &mut taken,
            input,
            &mut output_left,
            &mut given,
            output,
            &mut 0,
            state,
        );
        let stand = match result {
            BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => Stand::Within,
            BrotliResult::ResultSuccess => {
                self.is_over = true;
                self.state = None;
                self.share.resize(0);
                Stand::Over
            }
            BrotliResult::ResultFailure => Stand::Damaged,
        };
        Step { taken, given, stand }
    }
}

/// Allocates for the decoder, within the budget.
struct Metered {
    budget: Budget,
}

impl<T: Clone + Default> Allocator<T> for Metered {
    type AllocatedMemory = Cell<T>;

    /// What is refused is empty, which the decoder takes for memory that ran out.
    fn alloc_cell(&mut self, len: usize) -> Cell<T> {
        let bytes = len.saturating_mul(size_of::<T>());
        let mut share = self.budget.share(0);
        if bytes > CELL_BYTES_MAX || !share.resize(bytes) {
            return Cell::default();
        }
        Cell { items: vec![T::default(); len].into_boxed_slice(), _share: Some(share) }
    }

    fn free_cell(&mut self, cell: Cell<T>) {
        drop(cell);
    }
}

/// Memory of the decoder's, and its share of the budget.
struct Cell<T> {
    items: Box<[T]>,
    /// `None` of what is empty.
    _share: Option<Share>,
}

impl<T> Default for Cell<T> {
    fn default() -> Self {
        Self { items: Box::default(), _share: None }
    }
}

impl<T> SliceWrapper<T> for Cell<T> {
    fn slice(&self) -> &[T] {
        &self.items
    }
}

impl<T> SliceWrapperMut<T> for Cell<T> {
    fn slice_mut(&mut self) -> &mut [T] {
        &mut self.items
    }
}
