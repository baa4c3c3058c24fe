//! One coding of a body, undone piece by piece.
//!
//! Pure. It owns the piece that a library's decoder writes into, and says when a decoder is not worth going on with.

use super::brotli::Brotli;
use super::coding::Coding;
use super::inflate::Inflate;
use super::limits::{EXPANSION, PIECE_BYTES};
use super::step::{Stand, Step, Unreadable};
use super::zstd::Zstd;
use crate::budget::{Budget, Share};

/// How many steps may do nothing in a row. A decoder that has bytes and room does something, but for what it hands itself.
const IDLE_STEPS_MAX: u32 = 4;

/// One coding of a body.
pub(super) struct Layer {
    method: Method,
    /// Room for what was unpacked. Allocated with the first bytes of the body: many never come.
    piece: Box<[u8]>,
    /// For that room.
    share: Share,
    /// What was packed, and what became of it, in bytes.
    packed_bytes: u64,
    unpacked_bytes: u64,
    /// How much may be unpacked beside [`EXPANSION`] times what came, in bytes.
    work_bytes_max: u64,
    stand: Stand,
}

enum Method {
    Inflate(Inflate),
    Brotli(Brotli),
    Zstd(Box<Zstd>),
}

impl Method {
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Step {
        match self {
            Self::Inflate(inflate) => inflate.step(input, output),
            Self::Brotli(brotli) => brotli.step(input, output),
            Self::Zstd(zstd) => zstd.step(input, output),
        }
    }
}

impl Layer {
    pub(super) fn new(coding: Coding, budget: &Budget, work_bytes_max: u64) -> Self {
        let method = match coding {
            Coding::Gzip => Method::Inflate(Inflate::gzip(budget.share(0))),
            Coding::Deflate => Method::Inflate(Inflate::deflate(budget.share(0))),
            Coding::Brotli => Method::Brotli(Brotli::new(budget)),
            Coding::Zstd => Method::Zstd(Box::new(Zstd::new(budget.share(0)))),
        };
        Self {
            method,
            piece: Box::default(),
            share: budget.share(0),
            packed_bytes: 0,
            unpacked_bytes: 0,
            work_bytes_max,
            stand: Stand::Whole,
        }
    }

    /// Whether the body may end here.
    pub(super) fn is_whole(&self) -> bool {
        matches!(self.stand, Stand::Whole | Stand::Over)
    }

    /// Unpacks the next bytes. What comes before damage is handed on too, as far as the decoder gives it: peers may have read that
    /// far.
    pub(super) fn push(
        &mut self,
        mut input: &[u8],
        mut on_piece: impl FnMut(&[u8]) -> Result<(), Unreadable>,
    ) -> Result<(), Unreadable> {
        if self.piece.is_empty() && !input.is_empty() {
            if !self.share.resize(PIECE_BYTES) {
                return Err(Unreadable);
            }
            self.piece = vec![0; PIECE_BYTES].into_boxed_slice();
        }
        // While the piece comes back full, there may be more.
        let mut is_full = false;
        let mut idle_steps = 0;
        while self.stand != Stand::Over && (is_full || !input.is_empty()) {
            let step = self.method.step(input, &mut self.piece);
            self.stand = step.stand;
            self.packed_bytes += step.taken as u64;
            self.unpacked_bytes += step.given as u64;
            on_piece(&self.piece[..step.given])?;
            let work_bytes_max = self.packed_bytes.saturating_mul(EXPANSION).saturating_add(self.work_bytes_max);
            idle_steps = if step.taken + step.given == 0 { idle_steps + 1 } else { 0 };
            let is_stuck = idle_steps > IDLE_STEPS_MAX;
            if step.stand == Stand::Damaged || is_stuck || self.unpacked_bytes > work_bytes_max {
                return Err(Unreadable);
            }
            input = &input[step.taken..];
            is_full = step.given == self.piece.len();
        }
        // A few bytes of something else may look like an end; with content before it, it is one.
        let is_foreign = self.stand == Stand::Over && self.unpacked_bytes == 0 && !input.is_empty();
        if is_foreign { Err(Unreadable) } else { Ok(()) }
    }
}
