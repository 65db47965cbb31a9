//! What the fuzz targets share: a bound on memory, and a disk in memory.
#![forbid(unsafe_code)]

pub mod disk;
pub mod logs;

use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Does something, and fails when it needed more memory at once than `fixed` bytes and `each` for each byte of input.
///
/// # Panics
/// When it did.
pub fn bounded<T>(input: usize, each: usize, fixed: usize, work: impl FnOnce() -> T) -> T {
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    let done = work();
    let used = MEMORY.peak_usage().saturating_sub(before);
    let allowed = fixed + each * input;
    assert!(used <= allowed, "{used} bytes of memory for {input} bytes of input, {allowed} allowed");
    done
}
