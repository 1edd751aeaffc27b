//! Stands between this process and libc: the functions below are found before those of libc.so by everything linked
//! into the test binary, LMDB's C code, std and rustix alike (rustix through its feature `use-libc`, which only tests
//! have). Off, they pass through. On, they write calls that concern one folder to a log and fail those they are told to.
//!
//! Functions that are variadic in C (`open`) are defined here with their one optional argument, which is the same to
//! a caller on the Linux calling conventions of x86-64 and AArch64.
#![expect(unsafe_code, reason = "the functions of libc are called by hand")]

use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::os::fd::RawFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use libc::{iovec, mode_t, off_t, size_t, ssize_t};

use crate::journal::Entry;

static ON: AtomicBool = AtomicBool::new(false);
static STATE: Mutex<Option<State>> = Mutex::new(None);

/// Calls that may be failed together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Write,
    Sync,
    Open,
    Rename,
    Unlink,
    Allocate,
    Truncate,
    Folder,
}

pub const KINDS: [(Kind, &str); 8] = [
    (Kind::Write, "write"),
    (Kind::Sync, "sync"),
    (Kind::Open, "open"),
    (Kind::Rename, "rename"),
    (Kind::Unlink, "unlink"),
    (Kind::Allocate, "allocate"),
    (Kind::Truncate, "truncate"),
    (Kind::Folder, "folder"),
];

/// The `count`-th call of a kind fails, and those after it when `from_then_on`.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    pub kind: Kind,
    pub count: u64,
    pub from_then_on: bool,
    pub errno: c_int,
}

struct State {
    /// The folder, with a slash behind.
    root: Vec<u8>,
    log: RawFd,
    /// One open of a file for each descriptor: handle, and whether its writes are durable at once.
    open: HashMap<RawFd, (u64, bool)>,
    paths: HashMap<u64, String>,
    /// Syncs that have begun: which file, and whether another sync of it has failed meanwhile. Kernels tell every
    /// descriptor that was open then.
    syncing: HashMap<u64, (String, bool)>,
    next: u64,
    fault: Option<Fault>,
    seen: HashMap<Kind, u64>,
}

/// Starts recording what happens in `root` (its true path) to the end of `log`. Several processes may share both.
pub fn start(root: &Path, log: &Path, fault: Option<Fault>) {
    let name = std::ffi::CString::new(log.to_str().unwrap()).unwrap();
    // SAFETY: the name is a C string, the flags are those of open(2).
    let log = unsafe {
        original::open64(
            name.as_ptr(),
            libc::O_WRONLY | libc::O_APPEND | libc::O_CREAT | libc::O_CLOEXEC,
            0o600,
        )
    };
    assert!(log >= 0);
    let state = State {
        root: format!("{}/", root.to_str().unwrap()).into_bytes(),
        log,
        open: HashMap::new(),
        paths: HashMap::new(),
        syncing: HashMap::new(),
        next: u64::from(std::process::id()) << 32,
        fault,
        seen: HashMap::new(),
    };
    *STATE.lock().unwrap() = Some(state);
    ON.store(true, Ordering::SeqCst);
}

/// Writes a note to the log, in order with the calls.
pub fn note(text: &str) {
    if let Some(held) = Held::take() {
        held.log(&Entry::Note { text: text.to_owned() });
    }
}

/// Ends the process at once, between two calls of the log: what SIGKILL would do, but nothing is left unlogged.
pub fn die() -> ! {
    let _held = Held::take();
    // SAFETY: _exit(2) has no preconditions.
    unsafe { libc::_exit(9) }
}

/// The state, while no other thread and no other recorded process is between a call and its entry.
struct Held {
    state: MutexGuard<'static, Option<State>>,
}

impl Held {
    fn take() -> Option<Self> {
        if !ON.load(Ordering::Relaxed) {
            return None;
        }
        let state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
        let log = state.as_ref()?.log;
        // SAFETY: the descriptor is ours and open; flock(2) has no other preconditions.
        unsafe { libc::flock(log, libc::LOCK_EX) };
        Some(Self { state })
    }

    fn log(&self, entry: &Entry) {
        let octets = entry.encode();
        let Some(state) = self.state.as_ref() else { return };
        // SAFETY: the buffer is as long as told, the descriptor is ours.
        let written = unsafe { original::write(state.log, octets.as_ptr().cast(), octets.len()) };
        assert_eq!(written, octets.len() as ssize_t, "the log is full");
    }

    fn inside(&self, path: *const c_char) -> Option<String> {
        // SAFETY: libc's callers hand over C strings.
        let path = unsafe { CStr::from_ptr(path) }.to_bytes();
        let root = &self.state.as_ref()?.root;
        let inside = path
            .strip_prefix(&root[..])
            .or_else(|| (path == &root[..root.len() - 1]).then_some(&b""[..]));
        inside.map(|path| String::from_utf8_lossy(path).into_owned())
    }

    fn handle(&self, fd: RawFd) -> Option<(u64, bool)> {
        self.state.as_ref()?.open.get(&fd).copied()
    }

    /// Counts a call; sets errno and says true when it is to fail.
    fn fails(&mut self, kind: Kind) -> bool {
        let Some(state) = self.state.as_mut() else { return false };
        let seen = state.seen.entry(kind).or_default();
        *seen += 1;
        let Some(fault) = state.fault.filter(|fault| fault.kind == kind) else {
            return false;
        };
        let fails = *seen == fault.count || (fault.from_then_on && *seen > fault.count);
        if fails {
            let first = *seen == fault.count;
            if first {
                self.log(&Entry::Note {
                    text: "fault".to_owned(),
                });
            }
            // SAFETY: the address of this thread's errno is valid.
            unsafe { *libc::__errno_location() = fault.errno };
        }
        fails
    }

    fn written(&self, handle: u64, durable: bool, offset: u64, pieces: &[iovec], count: ssize_t) {
        let mut left = usize::try_from(count).unwrap_or(0);
        let mut data = Vec::with_capacity(left);
        for piece in pieces {
            let length = piece.iov_len.min(left);
            // SAFETY: the kernel has just read these octets.
            data.extend_from_slice(unsafe { std::slice::from_raw_parts(piece.iov_base.cast(), length) });
            left -= length;
        }
        if !data.is_empty() {
            self.log(&Entry::Write {
                handle,
                offset,
                durable,
                data,
            });
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(state) = self.state.as_ref() {
            // SAFETY: as above; the lock was taken by us.
            unsafe { libc::flock(state.log, libc::LOCK_UN) };
        }
    }
}

/// libc's own functions.
mod original {
    use super::{AtomicUsize, Ordering, c_char, c_int, c_void, iovec, mode_t, off_t, size_t, ssize_t};

    macro_rules! functions {
        ($($name:ident($($argument:ident: $kind:ty),*) -> $result:ty;)*) => {$(
            /// As libc's.
            ///
            /// # Safety
            /// As libc's.
            pub(super) unsafe fn $name($($argument: $kind),*) -> $result {
                static ADDRESS: AtomicUsize = AtomicUsize::new(0);
                let mut address = ADDRESS.load(Ordering::Relaxed);
                if address == 0 {
                    let name = concat!(stringify!($name), "\0");
                    // SAFETY: a C string; RTLD_NEXT looks behind this binary, that is in libc.so.
                    address = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr().cast()) } as usize;
                    assert!(address != 0);
                    ADDRESS.store(address, Ordering::Relaxed);
                }
                // SAFETY: the symbol of this name in libc has this type.
                let function: unsafe extern "C" fn($($kind),*) -> $result = unsafe { std::mem::transmute(address) };
                // SAFETY: the caller's promise.
                unsafe { function($($argument),*) }
            }
        )*};
    }

    functions! {
        open64(path: *const c_char, flags: c_int, mode: mode_t) -> c_int;
        close(fd: c_int) -> c_int;
        write(fd: c_int, data: *const c_void, count: size_t) -> ssize_t;
        writev(fd: c_int, pieces: *const iovec, count: c_int) -> ssize_t;
        pwritev64(fd: c_int, pieces: *const iovec, count: c_int, offset: off_t) -> ssize_t;
        ftruncate64(fd: c_int, length: off_t) -> c_int;
        fallocate64(fd: c_int, mode: c_int, offset: off_t, length: off_t) -> c_int;
        rename(from: *const c_char, to: *const c_char) -> c_int;
        unlink(path: *const c_char) -> c_int;
        mkdir(path: *const c_char, mode: mode_t) -> c_int;
        rmdir(path: *const c_char) -> c_int;
        fsync(fd: c_int) -> c_int;
        fdatasync(fd: c_int) -> c_int;
        msync(address: *mut c_void, length: size_t, flags: c_int) -> c_int;
        lseek64(fd: c_int, offset: off_t, whence: c_int) -> off_t;
    }
}

unsafe fn open_as(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    let Some(mut held) = Held::take() else {
        // SAFETY: as the caller's.
        return unsafe { original::open64(path, flags, mode) };
    };
    let Some(name) = held.inside(path) else {
        drop(held);
        // SAFETY: as the caller's.
        return unsafe { original::open64(path, flags, mode) };
    };
    if held.fails(Kind::Open) {
        return -1;
    }
    // SAFETY: as the caller's.
    let fd = unsafe { original::open64(path, flags, mode) };
    if fd >= 0
        && let Some(state) = held.state.as_mut()
    {
        state.next += 1;
        let handle = state.next;
        state
            .open
            .insert(fd, (handle, flags & (libc::O_DSYNC | libc::O_SYNC) != 0));
        state.paths.insert(handle, name.clone());
        let (create, truncate) = (flags & libc::O_CREAT != 0, flags & libc::O_TRUNC != 0);
        held.log(&Entry::Open {
            handle,
            create,
            truncate,
            path: name,
        });
    }
    fd
}

/// A write at `offset`, or at the descriptor's position.
unsafe fn write_as(fd: c_int, pieces: &[iovec], offset: Option<off_t>) -> ssize_t {
    // SAFETY: as the caller's.
    let call = || unsafe {
        match offset {
            Some(offset) => original::pwritev64(fd, pieces.as_ptr(), pieces.len() as c_int, offset),
            None => original::writev(fd, pieces.as_ptr(), pieces.len() as c_int),
        }
    };
    let Some(mut held) = Held::take() else { return call() };
    let Some((handle, durable)) = held.handle(fd) else {
        drop(held);
        return call();
    };
    if held.fails(Kind::Write) {
        return -1;
    }
    // SAFETY: a query.
    let at = offset.unwrap_or_else(|| unsafe { original::lseek64(fd, 0, libc::SEEK_CUR) });
    let count = call();
    held.written(handle, durable, at as u64, pieces, count);
    count
}

/// The sync itself is left out: what it makes durable is decided by the simulated disk.
unsafe fn sync_as(fd: c_int, real: unsafe fn(c_int) -> c_int) -> c_int {
    let Some(mut held) = Held::take() else {
        // SAFETY: as the caller's.
        return unsafe { real(fd) };
    };
    let Some((handle, _)) = held.handle(fd) else {
        drop(held);
        // SAFETY: as the caller's.
        return unsafe { real(fd) };
    };
    let Some(state) = held.state.as_mut() else { return 0 };
    state.next += 1;
    let token = state.next;
    let path = state.paths.get(&handle).cloned().unwrap_or_default();
    state.syncing.insert(token, (path.clone(), false));
    held.log(&Entry::SyncBegins { handle, token });
    drop(held);
    // Others may write while the disk is at work.
    std::thread::yield_now();
    let Some(mut held) = Held::take() else { return 0 };
    let fails = held.fails(Kind::Sync);
    let Some(state) = held.state.as_mut() else { return 0 };
    let told = state.syncing.remove(&token).is_some_and(|(_, failed)| failed);
    let failed = fails || told;
    if failed {
        state
            .syncing
            .values_mut()
            .filter(|(of, _)| *of == path)
            .for_each(|(_, failed)| *failed = true);
        let errno = state.fault.map_or(libc::EIO, |fault| fault.errno);
        // SAFETY: the address of this thread's errno is valid.
        unsafe { *libc::__errno_location() = errno };
    }
    held.log(&Entry::SyncEnds { handle, token, failed });
    if failed { -1 } else { 0 }
}

/// A call on paths.
unsafe fn path_as(
    kind: Kind,
    path: *const c_char,
    entry: impl FnOnce(&Held, String) -> Option<Entry>,
    call: impl FnOnce() -> c_int,
) -> c_int {
    let Some(mut held) = Held::take() else { return call() };
    let Some(name) = held.inside(path) else {
        drop(held);
        return call();
    };
    if held.fails(kind) {
        return -1;
    }
    let result = call();
    if result == 0
        && let Some(entry) = entry(&held, name)
    {
        held.log(&entry);
    }
    result
}

/// A call on a descriptor that changes a file's length.
unsafe fn length_as(
    kind: Kind,
    fd: c_int,
    entry: impl FnOnce(u64) -> Option<Entry>,
    call: impl FnOnce() -> c_int,
) -> c_int {
    let Some(mut held) = Held::take() else { return call() };
    let Some((handle, _)) = held.handle(fd) else {
        drop(held);
        return call();
    };
    if held.fails(kind) {
        return -1;
    }
    let result = call();
    if result == 0
        && let Some(entry) = entry(handle)
    {
        held.log(&entry);
    }
    result
}

macro_rules! stand_in {
    ($($name:ident($($argument:ident: $kind:ty),*) -> $result:ty $body:block)*) => {$(
        /// Stands in for libc's function of this name.
        ///
        /// # Safety
        /// As libc's.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($($argument: $kind),*) -> $result {
            // SAFETY: the caller's promise to libc.
            unsafe { $body }
        }
    )*};
}

fn one(data: *const c_void, count: size_t) -> [iovec; 1] {
    [iovec {
        iov_base: data.cast_mut(),
        iov_len: count,
    }]
}

unsafe fn many<'a>(pieces: *const iovec, count: c_int) -> &'a [iovec] {
    // SAFETY: the caller's promise to libc.
    unsafe { std::slice::from_raw_parts(pieces, usize::try_from(count).unwrap_or(0)) }
}

stand_in! {
    open(path: *const c_char, flags: c_int, mode: mode_t) -> c_int { open_as(path, flags, mode) }
    open64(path: *const c_char, flags: c_int, mode: mode_t) -> c_int { open_as(path, flags, mode) }
    write(fd: c_int, data: *const c_void, count: size_t) -> ssize_t { write_as(fd, &one(data, count), None) }
    writev(fd: c_int, pieces: *const iovec, count: c_int) -> ssize_t { write_as(fd, many(pieces, count), None) }
    pwrite(fd: c_int, data: *const c_void, count: size_t, offset: off_t) -> ssize_t {
        write_as(fd, &one(data, count), Some(offset))
    }
    pwrite64(fd: c_int, data: *const c_void, count: size_t, offset: off_t) -> ssize_t {
        write_as(fd, &one(data, count), Some(offset))
    }
    pwritev(fd: c_int, pieces: *const iovec, count: c_int, offset: off_t) -> ssize_t {
        write_as(fd, many(pieces, count), Some(offset))
    }
    pwritev64(fd: c_int, pieces: *const iovec, count: c_int, offset: off_t) -> ssize_t {
        write_as(fd, many(pieces, count), Some(offset))
    }
    close(fd: c_int) -> c_int {
        let held = Held::take();
        if let Some(mut held) = held
            && let Some(state) = held.state.as_mut()
        {
            state.open.remove(&fd);
            return original::close(fd);
        }
        original::close(fd)
    }
    ftruncate(fd: c_int, length: off_t) -> c_int { truncate_as(fd, length) }
    ftruncate64(fd: c_int, length: off_t) -> c_int { truncate_as(fd, length) }
    fallocate(fd: c_int, mode: c_int, offset: off_t, length: off_t) -> c_int { allocate_as(fd, mode, offset, length) }
    fallocate64(fd: c_int, mode: c_int, offset: off_t, length: off_t) -> c_int {
        allocate_as(fd, mode, offset, length)
    }
    rename(from: *const c_char, to: *const c_char) -> c_int {
        let entry = |held: &Held, from: String| held.inside(to).map(|to| Entry::Rename { from, to });
        path_as(Kind::Rename, from, entry, || original::rename(from, to))
    }
    unlink(path: *const c_char) -> c_int {
        path_as(Kind::Unlink, path, |_, path| Some(Entry::Unlink { path }), || original::unlink(path))
    }
    mkdir(path: *const c_char, mode: mode_t) -> c_int {
        path_as(Kind::Folder, path, |_, path| Some(Entry::MakeFolder { path }), || original::mkdir(path, mode))
    }
    rmdir(path: *const c_char) -> c_int {
        path_as(Kind::Folder, path, |_, path| Some(Entry::RemoveFolder { path }), || original::rmdir(path))
    }
    fsync(fd: c_int) -> c_int { sync_as(fd, original::fsync) }
    fdatasync(fd: c_int) -> c_int { sync_as(fd, original::fdatasync) }
    msync(address: *mut c_void, length: size_t, flags: c_int) -> c_int {
        assert!(!ON.load(Ordering::Relaxed), "a map is written to: the log does not know what");
        original::msync(address, length, flags)
    }
}

unsafe fn truncate_as(fd: c_int, length: off_t) -> c_int {
    let entry = |handle| {
        Some(Entry::Truncate {
            handle,
            length: length as u64,
        })
    };
    // SAFETY: as the caller's.
    unsafe { length_as(Kind::Truncate, fd, entry, || original::ftruncate64(fd, length)) }
}

unsafe fn allocate_as(fd: c_int, mode: c_int, offset: off_t, length: off_t) -> c_int {
    let end = (offset + length) as u64;
    let entry = |handle| (mode == 0).then_some(Entry::Allocate { handle, end });
    // SAFETY: as the caller's.
    unsafe {
        length_as(Kind::Allocate, fd, entry, || {
            original::fallocate64(fd, mode, offset, length)
        })
    }
}
