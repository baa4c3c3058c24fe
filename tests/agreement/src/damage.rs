//! The kinds of damage, by name. Each hurts a log in one way; where and how far is left to chance.

use crate::knife::Hurt;
use crate::{damage_to_bytes, damage_to_claims, damage_to_files, damage_to_records};

/// A kind of damage.
#[derive(Clone, Copy, Debug)]
pub struct DamageKind {
    /// What it is called.
    pub name: &'static str,
    /// What it does.
    pub hurt: Hurt,
}

const fn kind(name: &'static str, hurt: Hurt) -> DamageKind {
    DamageKind { name, hurt }
}

/// All kinds.
pub const KINDS: &[DamageKind] = &[
    kind("a bit flipped", damage_to_bytes::flip_bit),
    kind("a byte changed", damage_to_bytes::change_byte),
    kind("a sector zeroed", damage_to_bytes::zero_sector),
    kind("a page zeroed", damage_to_bytes::zero_page),
    kind("the first page zeroed", damage_to_bytes::zero_first_page),
    kind("the header zeroed", damage_to_bytes::zero_header),
    kind("a power cut", damage_to_bytes::cut_power),
    kind("garbage among the frames", damage_to_bytes::garbage_among_frames),
    kind("sectors swapped", damage_to_bytes::swap_sectors),
    kind("a header field flipped", damage_to_bytes::flip_header_field),
    kind("the version flipped", damage_to_bytes::flip_version),
    kind("a length zeroed", damage_to_bytes::zero_length),
    kind("a few bytes at the end", damage_to_bytes::few_bytes_at_end),
    kind("garbage behind the end", damage_to_bytes::garbage_behind_end),
    kind("garbage far behind the end", damage_to_bytes::garbage_far_behind_end),
    kind("cut anywhere", damage_to_bytes::cut_anywhere),
    kind("cut at a frame", damage_to_bytes::cut_at_frame),
    kind("cut below a page", damage_to_bytes::cut_below_page),
    kind("cut below a header", damage_to_bytes::cut_below_header),
    kind("cut to nothing", damage_to_bytes::cut_to_nothing),
    kind("all zeros", damage_to_bytes::zero_all),
    kind("lengthened by zeros", damage_to_bytes::lengthen),
    kind("a segment removed", damage_to_files::remove),
    kind("several segments removed", damage_to_files::remove_several),
    kind("a segment doubled", damage_to_files::double),
    kind("a segment doubled, with its id forged", damage_to_files::double_forged),
    kind("a segment renamed", damage_to_files::rename),
    kind("two names swapped", damage_to_files::swap_names),
    kind("a foreign segment", damage_to_files::add_foreign),
    kind("a foreign segment, the newest", damage_to_files::add_foreign_newest),
    kind("foreign segments", damage_to_files::add_foreign_many),
    kind("segments of two other stores", damage_to_files::add_foreign_of_two),
    kind("a segment replaced by a foreign one", damage_to_files::replace_by_foreign),
    kind("a file that is no segment", damage_to_files::add_text),
    kind("a file of zeros", damage_to_files::add_zeros),
    kind("no writer id", damage_to_files::remove_writer_id),
    kind("a mangled writer id", damage_to_files::mangle_writer_id),
    kind("no database", damage_to_files::remove_database),
    kind("another store's writer id", damage_to_files::foreign_writer_id),
    kind("another store's database", damage_to_files::foreign_database),
    kind("a newer version", damage_to_claims::newer_version),
    kind("version 0", damage_to_claims::version_zero),
    kind("numbers of a header out of range", damage_to_claims::numbers_out_of_range),
    kind("another base sequence", damage_to_claims::other_base),
    kind("too few durable frames", damage_to_claims::too_few_durable_frames),
    kind("too many durable frames", damage_to_claims::too_many_durable_frames),
    kind("a durable end inside a frame", damage_to_claims::durable_end_inside_frame),
    kind("a durable end beyond the file", damage_to_claims::durable_end_beyond_file),
    kind("a durable end further on", damage_to_claims::durable_end_further),
    kind("a durable end before", damage_to_claims::durable_end_before),
    kind("a shorter seal", damage_to_claims::shorter_seal),
    kind("a seal inside a frame", damage_to_claims::seal_inside_frame),
    kind("a longer seal", damage_to_claims::longer_seal),
    kind("a seal with other frames", damage_to_claims::seal_with_other_frames),
    kind("a seal of 0 with frames", damage_to_claims::seal_of_nothing_with_frames),
    kind("an end that is no multiple of 4", damage_to_claims::uneven_end),
    kind("one mark damaged", damage_to_claims::damage_one_mark),
    kind("both marks damaged", damage_to_claims::damage_both_marks),
    kind("both marks zeroed", damage_to_claims::zero_marks),
    kind("a mark at the wrong place", damage_to_claims::mark_at_wrong_place),
    kind("two marks of one generation", damage_to_claims::two_marks_of_one_generation),
    kind("a generation out of range", damage_to_claims::generation_out_of_range),
    kind("no mark ever durable", damage_to_claims::forget_syncs),
    kind("an unknown kind", damage_to_records::unknown_kind),
    kind("an unknown version", damage_to_records::unknown_version),
    kind("an undecodable record", damage_to_records::undecodable),
    kind("a record of kind 0", damage_to_records::kind_zero),
    kind("a wrong index", damage_to_records::wrong_index),
    kind("padding that is not zero", damage_to_records::padding),
    kind("a frame behind the seal", damage_to_records::frame_behind_seal),
    kind("a frame across the seal", damage_to_records::frame_across_seal),
    kind("a frame of no length", damage_to_records::overlong_length),
];
