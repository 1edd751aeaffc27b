//! What the store can answer instead of a result. No variant carries message content.

use std::io;

/// Why an operation of the store did not give its result.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The queue of the writer or of the readers is full: try again later.
    #[error("the store is busy")]
    Busy,
    /// No space on the disk, in the index, or below the configured reserve.
    #[error("no space left in the store: {0}")]
    Full(String),
    /// A record is damaged; the text names it.
    #[error("damaged record: {0}")]
    Corrupt(String),
    /// The volume has failed and takes no more writes; the process must end and recover at its next start.
    #[error("the volume has failed: {0}")]
    Failed(String),
    /// No such account, mailbox, message or queue item.
    #[error("not found: {0}")]
    NotFound(String),
    /// The name is taken.
    #[error("already exists: {0}")]
    AlreadyExists(String),
    /// The account, or its quota group, has no room for it; the text says which and how much it may hold.
    #[error("over quota: {0}")]
    OverQuota(String),
    /// The operation is not allowed, or beyond a limit.
    #[error("refused: {0}")]
    Refused(String),
    /// The volume cannot be opened: its format is newer, its file system unfit, or another fault of its surroundings.
    #[error("cannot open the volume: {0}")]
    Open(String),
    /// The operating system failed a call.
    #[error("input/output error: {0}")]
    Io(#[from] io::Error),
    /// LMDB failed.
    #[error("index error: {0}")]
    Index(heed::Error),
}

/// Either a result or a [`StoreError`].
pub type Result<T> = std::result::Result<T, StoreError>;

impl StoreError {
    /// True when freeing space, or applying less at once, may help.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full(_)) || matches!(self, Self::Io(error) if is_no_space(error))
    }

    /// The same error for another ticket of the same batch.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        match self {
            Self::Busy => Self::Busy,
            Self::Full(text) => Self::Full(text.clone()),
            Self::Corrupt(text) => Self::Corrupt(text.clone()),
            Self::Failed(text) => Self::Failed(text.clone()),
            Self::NotFound(text) => Self::NotFound(text.clone()),
            Self::AlreadyExists(text) => Self::AlreadyExists(text.clone()),
            Self::OverQuota(text) => Self::OverQuota(text.clone()),
            Self::Refused(text) => Self::Refused(text.clone()),
            Self::Open(text) => Self::Open(text.clone()),
            Self::Io(error) => Self::Failed(error.to_string()),
            Self::Index(error) => Self::Failed(error.to_string()),
        }
    }
}

/// True for the faults that mean a lack of space.
#[must_use]
pub fn is_no_space(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

impl From<heed::Error> for StoreError {
    fn from(error: heed::Error) -> Self {
        match error {
            heed::Error::Mdb(heed::MdbError::MapFull) => Self::Full("the index has reached its map size".to_owned()),
            heed::Error::Mdb(heed::MdbError::TxnFull) => Self::Full("the transaction is too large".to_owned()),
            heed::Error::Io(error) if is_no_space(&error) => Self::Full(error.to_string()),
            other => Self::Index(other),
        }
    }
}

impl From<rustix::io::Errno> for StoreError {
    fn from(error: rustix::io::Errno) -> Self {
        Self::Io(error.into())
    }
}
