//! The program's memory. musl's own allocator maps and unmaps at every other turn, which costs a hook more than all that it
//! computes; dlmalloc asks the kernel for three pieces in a call. Its own lock, one of the C library's, is an eighth of what a call
//! computes, where there is hardly ever a second thread.

#![allow(unsafe_code, reason = "an allocator has no safe form")]

use std::alloc::{GlobalAlloc, Layout};
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{mem, process, thread};

use dlmalloc::Dlmalloc;

/// What `#[global_allocator]` is.
pub struct Heap {
    is_taken: AtomicBool,
    memory: UnsafeCell<Dlmalloc>,
}

// SAFETY: `memory` is reached through `with` alone, by one thread at a time.
unsafe impl Sync for Heap {}

impl Heap {
    /// Without any memory yet.
    #[must_use]
    pub const fn new() -> Self {
        Heap {
            is_taken: AtomicBool::new(false),
            memory: UnsafeCell::new(Dlmalloc::new()),
        }
    }

    fn with<T>(&self, what: impl FnOnce(&mut Dlmalloc) -> T) -> T {
        while self.is_taken.swap(true, Ordering::Acquire) {
            thread::yield_now();
        }
        let unfinished = Unfinished;
        // SAFETY: whoever finds it taken waits, and nothing in there asks for memory by itself.
        let result = what(unsafe { &mut *self.memory.get() });
        mem::forget(unfinished);
        self.is_taken.store(false, Ordering::Release);
        result
    }
}

/// dlmalloc panics where it finds its memory broken. To tell of that, memory is needed, for which the panic would wait for ever.
struct Unfinished;

impl Drop for Unfinished {
    fn drop(&mut self) {
        process::abort();
    }
}

impl Default for Heap {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: it hands on to an allocator, one call at a time, with what its caller vouches for.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller of this.
        self.with(|memory| unsafe { memory.malloc(layout.size(), layout.align()) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller of this.
        self.with(|memory| unsafe { memory.calloc(layout.size(), layout.align()) })
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: as the caller of this.
        self.with(|memory| unsafe { memory.free(place, layout.size(), layout.align()) });
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as the caller of this.
        self.with(|memory| unsafe { memory.realloc(place, layout.size(), layout.align(), size) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four threads at once, each of which has pieces that grow, and finds in them what it has put there.
    #[test]
    fn threads_have_pieces_of_their_own() {
        static HEAP: Heap = Heap::new();
        thread::scope(|scope| {
            for mark in 1..=4 {
                scope.spawn(move || {
                    for round in 1..2_000 {
                        let size = round % 700 + 1;
                        let small = Layout::array::<u8>(size).expect("a size");
                        let large = Layout::array::<u8>(size * 2).expect("a size");
                        // SAFETY: each piece is as large as it was asked for, is not used beyond that, and is given back
                        // once, as it was last.
                        unsafe {
                            let piece = HEAP.alloc_zeroed(small);
                            assert!((0..size).all(|at| *piece.add(at) == 0));
                            piece.write_bytes(mark, size);
                            let piece = HEAP.realloc(piece, small, size * 2);
                            assert!((0..size).all(|at| *piece.add(at) == mark));
                            let other = HEAP.alloc(small);
                            other.write_bytes(mark, size);
                            HEAP.dealloc(other, small);
                            HEAP.dealloc(piece, large);
                        }
                    }
                });
            }
        });
    }
}
