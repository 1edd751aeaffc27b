//! Opens the LMDB environment: the only place that does, and so the only `unsafe` open.

use std::path::Path;
use std::time::Duration;

use heed::{Env, EnvFlags, EnvOpenOptions, WithoutTls};
use rustix::fs::FallocateFlags;

use super::tables::TABLES_MAX;
use crate::error::{Result, StoreError};

/// Slots of the reader table, shared by all processes (lmdb.md 4.4).
pub const READERS_MAX: u32 = 2048;

/// Magic numbers of file systems on which LMDB's locks and map do not work (lmdb.md 4.21): NFS, SMB (three numbers),
/// AFS, Coda, Ceph, 9P, and FUSE, which hides others.
const NETWORK_FILE_SYSTEMS: [(u64, &str); 10] = [
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB2"),
    (0x5346_414f, "AFS"),
    (0x7375_7245, "Coda"),
    (0x00c3_6400, "Ceph"),
    (0x0102_1997, "9P"),
    (0x6573_5546, "FUSE"),
    (0x0bd0_0bd0, "Lustre"),
];

/// Refuses a network file system by name.
pub fn refuse_network_file_system(path: &Path) -> Result<()> {
    let kind = rustix::fs::statfs(path)?.f_type as u64 & 0xffff_ffff;
    match NETWORK_FILE_SYSTEMS.iter().find(|(magic, _)| *magic == kind) {
        Some((_, name)) => Err(StoreError::Open(format!(
            "{} lies on a network file system ({name})",
            path.display()
        ))),
        None => Ok(()),
    }
}

/// Opens the environment in the folder `path`, which exists.
///
/// `map_size` is the fixed reservation of address space; `sync` false is for tests of logic only. Another process that
/// opens or closes at the same moment may make the open fail, so it is tried a few times.
pub fn open(path: &Path, map_size: usize, sync: bool) -> Result<Env<WithoutTls>> {
    /// Tries before the error is believed.
    const TRIES: u32 = 5;
    let mut attempt = 0;
    loop {
        let mut options = EnvOpenOptions::new().read_txn_without_tls();
        options.map_size(map_size).max_readers(READERS_MAX).max_dbs(TABLES_MAX);
        let mut flags = EnvFlags::NO_READ_AHEAD;
        if !sync {
            flags |= EnvFlags::NO_SYNC;
        }
        // SAFETY: NO_READ_AHEAD only advises the kernel; NO_SYNC gives up durability against power loss, which callers ask for in
        // tests alone. Neither weakens LMDB's locks or page checks.
        unsafe { options.flags(flags) };
        // SAFETY: the files in this folder are written by LMDB alone: the folder belongs to the volume, lies on a local
        // file system (checked before), and nothing of ours truncates or writes data.mdb or lock.mdb ([`cover_pages`] makes
        // the former longer).
        match unsafe { options.open(path) } {
            Ok(env) => {
                cover_pages(&path.join("data.mdb"), &env)?;
                return Ok(env);
            }
            Err(heed::Error::Io(error))
                if attempt + 1 < TRIES
                    && matches!(
                        error.kind(),
                        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::Interrupted
                    ) =>
            {
                attempt += 1;
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(heed::Error::EnvAlreadyOpened) => {
                return Err(StoreError::Open("this process has the volume open already".to_owned()));
            }
            Err(heed::Error::Mdb(heed::MdbError::VersionMismatch | heed::MdbError::Invalid)) => {
                return Err(StoreError::Open(format!(
                    "{} is not an index of this release; if it is damaged, `ironpost store rebuild` makes it anew",
                    path.join("data.mdb").display()
                )));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Opens a copy of an index that nobody writes to, for reading alone: without a lock file, so that its folder stays as
/// it is, even on a medium that cannot be written.
pub fn open_copy(path: &Path) -> Result<Env<WithoutTls>> {
    /// The map is the file, in steps of this.
    const STEP: usize = 1 << 20;
    let octets = std::fs::metadata(path.join("data.mdb"))?.len();
    let map_size = usize::try_from(octets)
        .unwrap_or(usize::MAX - STEP)
        .next_multiple_of(STEP)
        .max(STEP);
    let mut options = EnvOpenOptions::new().read_txn_without_tls();
    options.map_size(map_size).max_dbs(TABLES_MAX);
    // SAFETY: without locks nobody may write while the environment is open. The copy was finished before it got its
    // name; writers open the volume's own index, never this one.
    unsafe { options.flags(EnvFlags::READ_ONLY | EnvFlags::NO_LOCK) };
    // SAFETY: as above: the file is never changed once it is there.
    match unsafe { options.open(path) } {
        Err(heed::Error::Mdb(heed::MdbError::VersionMismatch | heed::MdbError::Invalid)) => {
            Err(StoreError::Open(format!(
                "{} is not an index of this release; if it is damaged, `ironpost store rebuild` makes it anew",
                path.join("data.mdb").display()
            )))
        }
        Err(error) => Err(error.into()),
        Ok(env) => {
            // Reading a page beyond the end of the file would kill the process by SIGBUS.
            let needed = (env.info().last_page_number as u64 + 1) * u64::from(env.stat().page_size);
            if octets < needed {
                return Err(StoreError::Open(format!(
                    "{} was cut: it has {octets} octets of {needed}",
                    path.join("data.mdb").display()
                )));
            }
            Ok(env)
        }
    }
}

/// Makes the file as long as its pages reach. It may be shorter by a few free pages at its end, which LMDB does not
/// write; one that was cut by an accident is shorter by others. Reading a page beyond the end would kill the process by
/// SIGBUS; a page of zeros is an error of LMDB's.
fn cover_pages(data: &Path, env: &Env<WithoutTls>) -> Result<()> {
    let pages = env.info().last_page_number as u64 + 1;
    let needed = pages * u64::from(env.stat().page_size);
    let length = std::fs::metadata(data)?.len();
    if length >= needed {
        return Ok(());
    }
    // Unlike a new length, an allocation never makes a file shorter that another process has made longer meanwhile.
    let file = std::fs::OpenOptions::new().write(true).open(data)?;
    rustix::fs::fallocate(&file, FallocateFlags::empty(), length, needed - length).map_err(|error| {
        StoreError::Open(format!(
            "{} has {length} octets of {needed} and cannot be made longer: {error}",
            data.display()
        ))
    })
}
