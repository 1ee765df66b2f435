//! Large answers fetched and stored in slices: `slice`.

use crate::{
    settings::{HSL, settings},
    values::SIZE,
};

settings! {
    /// Slices of answers, at one level.
    pub struct SliceConf {
        /// Bytes of the slices in which an answer is asked for where `$slice_range` is used; 0 asks for the whole.
        size: u64 = 0, "slice" in HSL, once(SIZE), "0";
    }
}
