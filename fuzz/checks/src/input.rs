//! Fuzz input as a sequence of choices. Runs out quietly: whatever is asked for after the end is zero or empty, so that
//! every input means something.

/// What is left of the input.
pub(crate) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn u8(&mut self) -> u8 {
        self.array::<1>()[0]
    }

    pub(crate) fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.array())
    }

    pub(crate) fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }

    /// Up to 255 bytes; the first byte says how many.
    pub(crate) fn bytes(&mut self) -> &'a [u8] {
        let count = usize::from(self.u8()).min(self.0.len());
        let (bytes, rest) = self.0.split_at(count);
        self.0 = rest;
        bytes
    }

    /// All that is left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    fn array<const COUNT: usize>(&mut self) -> [u8; COUNT] {
        let mut array = [0; COUNT];
        let count = COUNT.min(self.0.len());
        let (bytes, rest) = self.0.split_at(count);
        array[..count].copy_from_slice(bytes);
        self.0 = rest;
        array
    }
}
